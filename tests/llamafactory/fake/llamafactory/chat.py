"""A ChatModel whose tokens are bytes: it says what it is told to.

`say TEXT` answers TEXT. `draw N` answers N letters that are drawn, and `endless` goes on with them
until its limit. `hold PATH TEXT` answers TEXT, the last half of it when PATH exists. `raise KIND`
raises. `call` calls a tool where there is one.
Anything else is answered with the system prompt, the number of turns and the message.
"""

import json
import os
import random
import time
from types import SimpleNamespace

import torch

END, START = 256, 257


def _bytes(text):
    return list(text.encode())


class Tokenizer:
    def decode(self, tokens, skip_special_tokens, clean_up_tokenization_spaces):
        return bytes(token for token in tokens if token < END).decode("utf-8", "replace")

    def encode(self, text, add_special_tokens=True):
        return _bytes(text)


class Template:
    def encode_oneturn(self, tokenizer, messages, system, tools):
        return _bytes(json.dumps([messages[:-1], system, tools])), []

    def extract_tool(self, text):
        return [("look", '{"at": "北京"}')] if text == "<call>" else text


class Model:
    dtype = "torch.float32"
    config = SimpleNamespace(max_position_embeddings=100_000)

    def generate(
        self, inputs, attention_mask, generation_config, stopping_criteria, logits_processor=()
    ):
        tokens = list(inputs.rows[0])
        assert attention_mask.shape == inputs.shape
        start = len(tokens) - tokens[::-1].index(START)
        messages, system, tools = json.loads(bytes(tokens[: start - 1]))
        word, _, rest = messages[-1]["content"].partition(" ")
        gate, half = None, None
        if word == "say":
            reply = _bytes(rest)
        elif word == "hold":
            gate, _, text = rest.partition(" ")
            reply = _bytes(text)
            half = len(reply) // 2
        elif word == "draw":
            reply = [None] * int(rest)
        elif word == "endless":
            reply = None
        elif word == "raise":
            raise {"memory": MemoryError, "value": ValueError}[rest](f"cannot {rest}")
        elif word == "call":
            reply = _bytes("<call>" if tools else "no tools")
        else:
            reply = _bytes(f"{system}|{len(messages)}|{messages[-1]['content']}")
        for _ in range(generation_config.max_new_tokens):
            made = len(tokens) - start
            while gate and made >= half and not os.path.exists(gate):
                time.sleep(0.01)
            ids = torch.Tensor([tokens])
            for processor in logits_processor:
                processor(ids, None)
            if reply is not None and made >= len(reply):
                tokens.append(END)
            elif reply is None or reply[made] is None:
                time.sleep(0.001 if reply is None else 0)  # there is no end to what it would make
                tokens.append(random.choice(_bytes("abcdefghijklmnopqrstuvwxyz")))
            else:
                tokens.append(reply[made])
            ends = [criterion(torch.Tensor([tokens]), None)[0] for criterion in stopping_criteria]
            if tokens[-1] == END or any(ends):
                break
        with open(os.path.join(os.path.dirname(os.environ["FAKE_LOADS"]), "made"), "a") as file:
            file.write(f"{len(tokens) - start}\n")


class Engine:
    can_generate = True
    processor = None

    def __init__(self):
        self.generating_args = {"max_new_tokens": 1024, "temperature": 0.95}
        self.model, self.tokenizer, self.template = Model(), Tokenizer(), Template()

    @staticmethod
    def _process_args(
        model,
        tokenizer,
        processor,
        template,
        generating_args,
        messages,
        system=None,
        tools=None,
        images=None,
        input_kwargs=None,
    ):
        prompt, _ = template.encode_oneturn(tokenizer, [*messages, None], system, tools)
        prompt.append(START)
        settings = {**generating_args, **(input_kwargs or {})}
        config = SimpleNamespace(
            max_new_tokens=settings["max_new_tokens"],
            max_length=None,
            eos_token_id=[END],
            skip_special_tokens=True,
        )
        inputs = torch.Tensor([prompt])
        return {
            "inputs": inputs,
            "attention_mask": torch.ones_like(inputs),
            "generation_config": config,
        }, len(prompt)


class ChatModel:
    def __init__(self, args):
        print("[INFO|fake] loading", args, flush=True)
        loads = os.environ.get("FAKE_LOADS")
        if loads:
            with open(loads, "a") as file:
                file.write(f"{os.getpid()}\n")
        while args["model_name_or_path"].endswith("endless"):
            time.sleep(1)
        if args["model_name_or_path"].endswith("broken"):
            raise OSError("Failed to load tokenizer.")
        if args["model_name_or_path"].endswith("nms"):
            raise RuntimeError("operator torchvision::nms does not exist")
        if args["model_name_or_path"].endswith("killed"):
            os.kill(os.getpid(), 9)
        self.default_system = args.get("default_system")
        self.engine = Engine()

    def stream_chat(self, messages, system=None, tools=None, **options):
        word, _, rest = messages[-1]["content"].partition(" ")
        while word == "hold" and not os.path.exists(rest.split()[0]):
            time.sleep(0.01)
        if word == "recite":
            yield from ("你", "好\nUser: ", "again\n", "\nUser: yes")
        else:
            after = f"after {len(messages) - 1}: " if len(messages) > 1 else ""
            yield from f"streamed {after}{messages[-1]['content']}"


def run_chat(args):
    """The conversation in the terminal, as the real one holds it."""
    chat_model = ChatModel(args)
    messages = []
    print(
        "Welcome to the CLI application, use `clear` to remove the history, "
        "use `exit` to exit the application."
    )
    while True:
        query = input("\nUser: ")
        if query.strip() == "exit":
            break
        if query.strip() == "clear":
            messages = []
            print("History has been removed.")
            continue
        messages.append({"role": "user", "content": query})
        print("Assistant: ", end="", flush=True)
        response = ""
        for new_text in chat_model.stream_chat(messages):
            print(new_text, end="", flush=True)
            response += new_text
        print()
        messages.append({"role": "assistant", "content": response})
