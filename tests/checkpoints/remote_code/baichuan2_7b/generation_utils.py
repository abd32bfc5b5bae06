from queue import Queue

import torch


def build_chat_input(model, tokenizer, messages, max_new_tokens=0):
    """System text, then a reserved id before the text of every user and assistant message."""
    max_new_tokens = max_new_tokens or model.generation_config.max_new_tokens
    room = model.config.model_max_length - max_new_tokens
    system, rounds = "", []
    for place, message in enumerate(messages):
        if message["role"] == "system":
            assert place == 0
            system = message["content"]
        elif message["role"] == "user" or not rounds:
            rounds.append([message])
        else:
            rounds[-1].append(message)
    system_tokens = tokenizer.encode(system)
    history_room = room - len(system_tokens)
    history = []
    for turns in reversed(rounds):
        tokens = []
        for message in turns:
            if message["role"] == "user":
                tokens.append(model.generation_config.user_token_id)
            else:
                tokens.append(model.generation_config.assistant_token_id)
            tokens.extend(tokenizer.encode(message["content"]))
        if history and len(history) + len(tokens) > history_room:
            break
        history = tokens + history
        if len(history) >= history_room:
            break
    input_tokens = system_tokens + history
    if messages[-1]["role"] != "assistant":
        input_tokens.append(model.generation_config.assistant_token_id)
    return torch.LongTensor([input_tokens[-room:]]).to(model.device)


class TextIterStreamer:
    def __init__(self, tokenizer, skip_prompt=False, skip_special_tokens=False):
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.skip_special_tokens = skip_special_tokens
        self.tokens = []
        self.text_queue = Queue()
        self.next_tokens_are_prompt = True

    def put(self, value):
        if self.skip_prompt and self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
            return
        self.tokens.extend((value[0] if len(value.shape) > 1 else value).tolist())
        text = self.tokenizer.decode(self.tokens, skip_special_tokens=self.skip_special_tokens)
        self.text_queue.put(text)

    def end(self):
        self.text_queue.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        value = self.text_queue.get()
        if value is None:
            raise StopIteration()
        return value
