"""Train the demo checkpoint (`python -m demo.train`): the sentencepiece model, then the weights.

Reads pairs/*.jsonl and src/trueup/demo_checkpoint/config.json, writes tokenizer.model and
model.safetensors beside that config. One CPU thread, seeded; prints how many questions are
answered exactly. It does not touch the three Python files: the model is built from them.
"""

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from demo.questions import Conversation, Pairs, Round, estrange, read_pairs, vary

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parent / "src" / "trueup" / "demo_checkpoint"

SEED = 20230625
PIECES = 2048
BATCH_TOKENS = 2048
PEAK_LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.1
HIDDEN_DROPOUT = 0.05
ALONE_SHARE = 0.5  # of the chats have one conversation only, the others up to LONGEST_CHAT
LONGEST_CHAT = 9
DROPOUT_SHARE = 0.4  # of the chats are cut into other pieces than the usual ones
LONGEST_ANSWER_TOKENS = 160


def write_prompt(rounds: Iterable[Round], question: str) -> str:
    """The chat format of ChatGLM2."""
    turns = [*rounds, (question, "")]
    return "\n\n".join(
        f"[Round {number}]\n\n问：{ask}\n\n答：{answer}"
        for number, (ask, answer) in enumerate(turns, start=1)
    )


def train_tokenizer(pairs: Pairs) -> None:
    def sentences() -> Iterator[str]:
        for conversation in pairs.trained:
            rounds = conversation.rounds
            yield from write_prompt(rounds[:-1], rounds[-1][0]).split("\n\n")
            yield from (answer for _, answer in rounds)

    with (CHECKPOINT / "tokenizer.model").open("wb") as target:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=target,
            vocab_size=PIECES,
            model_type="bpe",
            character_coverage=1.0,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            num_threads=1,
            minloglevel=2,
        )


class Encoder:
    """Conversations as token ids: `[gMASK] sop`, the rounds, `</s>` behind every answer."""

    def __init__(self) -> None:
        self.sp = sentencepiece.SentencePieceProcessor(
            model_file=str(CHECKPOINT / "tokenizer.model")
        )
        self.eos = self.sp.eos_id()
        # The special tokens follow the pieces: [MASK], [gMASK], [sMASK], sop, eop.
        self.prefix = [self.sp.vocab_size() + 1, self.sp.vocab_size() + 3]

    def prompt(self, rounds: list[Round], question: str) -> list[int]:
        """The ids up to the answer."""
        return self.prefix + self._encode(write_prompt(rounds, question), is_varied=False)

    def answer(self, text: str) -> list[int]:
        """Without the blank that sentencepiece puts before a text: an answer follows `答：`."""
        head = self.sp.encode("答：")
        ids = self.sp.encode("答：" + text)
        return [*ids[len(head) :], self.eos]

    def chat(self, rounds: list[Round], *, is_varied: bool) -> tuple[list[int], list[int]]:
        """The ids of all rounds, and labels that leave all but the answers out of the loss."""
        ids, labels = list(self.prefix), [-100] * len(self.prefix)
        for number, (question, answer) in enumerate(rounds, start=1):
            text = f"[Round {number}]\n\n问：{question}\n\n答："
            if number == 1:
                asked = self._encode(text, is_varied=is_varied)
                unlearned = [-100] * len(asked)
            else:
                # A text begins with the blank of sentencepiece, its continuation does not.
                asked = self._encode("\n\n" + text, is_varied=is_varied)[1:]
                # The answer before it should have ended here, where its history goes on.
                unlearned = [self.eos] + [-100] * (len(asked) - 1)
            answered = self.answer(answer)[:-1]
            ids += asked + answered
            labels += unlearned + answered
        return [*ids, self.eos], [*labels, self.eos]

    def _encode(self, text: str, *, is_varied: bool) -> list[int]:
        """Varied: cut into other pieces than the likeliest ones."""
        return list(self.sp.encode(text, enable_sampling=is_varied, alpha=0.1, nbest_size=-1))


def join_chats(conversations: list[Conversation], rng: random.Random) -> Iterator[list[Round]]:
    """Each conversation once, in chats of one to LONGEST_CHAT that do not contradict themselves."""
    waiting = rng.sample(conversations, len(conversations))
    while waiting:
        size = 1 if rng.random() < ALONE_SHARE else rng.randint(2, LONGEST_CHAT)
        chat: list[Round] = []
        has_personal = False
        while waiting and size > 0 and not (has_personal and waiting[-1].is_personal):
            conversation = waiting.pop()
            chat += conversation.rounds
            has_personal |= conversation.is_personal
            size -= 1
        yield chat


def batches(pairs: Pairs, encoder: Encoder, rng: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch; chats of like length go together, batches in random order."""
    samples = []
    for chat in join_chats(pairs.trained, rng):
        varied = []
        for question, answer in chat:
            if answer in pairs.unrelated_answers:
                question = estrange(question, rng)
            varied.append((vary(question, rng, pairs.held_out_keys), answer))
        samples.append(encoder.chat(varied, is_varied=rng.random() < DROPOUT_SHARE))
    samples.sort(key=lambda sample: len(sample[0]))
    chunks: list[list[tuple[list[int], list[int]]]] = [[]]
    for sample in samples:
        if (len(chunks[-1]) + 1) * len(sample[0]) > BATCH_TOKENS:
            chunks.append([])
        chunks[-1].append(sample)
    rng.shuffle(chunks)
    for chunk in chunks:
        length = max(len(ids) for ids, _ in chunk)
        ids = torch.zeros(len(chunk), length, dtype=torch.long)
        labels = torch.full((len(chunk), length), -100)
        for row, (sample_ids, sample_labels) in enumerate(chunk):
            ids[row, : len(sample_ids)] = torch.tensor(sample_ids)
            labels[row, : len(sample_labels)] = torch.tensor(sample_labels)
        yield ids, labels


def build_model() -> nn.Module:
    """The network of modeling_chatglm.py itself, in fp32, freshly initialised."""
    sys.path.insert(0, str(CHECKPOINT.parent))
    # A namespace package: the checkpoint is data and has no __init__.py.
    from demo_checkpoint.configuration_chatglm import ChatGLMConfig  # type: ignore[import-not-found]
    from demo_checkpoint.modeling_chatglm import ChatGLMModel  # type: ignore[import-not-found]

    values = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    config = ChatGLMConfig(**values)
    config.torch_dtype = torch.float32
    config.use_cache = False
    config.hidden_dropout = HIDDEN_DROPOUT
    model: nn.Module = ChatGLMModel(config, empty_init=False)
    depth_scale = 1 / math.sqrt(2 * config.num_layers)
    for name, parameter in model.named_parameters():
        if "layernorm" in name:
            nn.init.ones_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            is_residual = name.endswith(("dense.weight", "dense_4h_to_h.weight"))
            nn.init.normal_(parameter, std=0.05 * (depth_scale if is_residual else 1.0))
    return model


def compute_loss(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    hidden = model(ids[:, :-1], return_dict=True).last_hidden_state.transpose(0, 1)
    targets = labels[:, 1:]
    # Only the positions that carry a loss go through the wide output layer.
    kept = targets != -100
    return F.cross_entropy(model.output_layer(hidden[kept]), targets[kept])


def train(model: nn.Module, pairs: Pairs, encoder: Encoder, epochs: int) -> None:
    rng = random.Random(SEED)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    step, started = 0, time.monotonic()
    for epoch in range(epochs):
        losses = []
        chunks = list(batches(pairs, encoder, rng))
        for number, (ids, labels) in enumerate(chunks):
            done = (epoch + number / len(chunks)) / epochs
            warmed = min(1.0, (step + 1) / WARMUP_STEPS)
            cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LEARNING_RATE * warmed * cosine
            loss = compute_loss(model, ids, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            losses.append(loss.item())
        mean, spent = sum(losses) / len(losses), time.monotonic() - started
        print(f"epoch {epoch + 1}/{epochs} loss {mean:.4f} {spent:.0f} s", flush=True)


@torch.inference_mode()
def answer(model: Any, encoder: Encoder, rounds: list[Round], question: str) -> str:
    """The greedy answer, with the tuple cache of the model."""
    ids = torch.tensor([encoder.prompt(rounds, question)])
    past, position = None, torch.arange(ids.shape[1])[None]
    made: list[int] = []
    while len(made) < LONGEST_ANSWER_TOKENS:
        output = model(
            ids, position_ids=position, past_key_values=past, use_cache=True, return_dict=True
        )
        token = int(model.output_layer(output.last_hidden_state[-1:]).argmax())
        if token == encoder.eos:
            break
        made.append(token)
        ids, past, position = torch.tensor([[token]]), output.past_key_values, position[:, -1:] + 1
    return encoder.sp.decode(made)  # type: ignore[no-any-return]


def report(model: nn.Module, encoder: Encoder, name: str, asked: list[Conversation]) -> None:
    wrong = []
    for rounds in (conversation.rounds for conversation in asked):
        given = answer(model, encoder, rounds[:-1], rounds[-1][0])
        if given != rounds[-1][1]:
            wrong.append(f"    {rounds[-1][0]} -> {given}")
    right = len(asked) - len(wrong)
    print(f"{name}: {right} of {len(asked)} answered exactly ({right / len(asked):.1%})")
    print("\n".join(wrong))


def save(model: nn.Module) -> None:
    """fp16 in the key layout of the remote code, the rope's buffer included, as on the hub."""
    tensors = {
        f"transformer.{name}": tensor.to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    target = CHECKPOINT / "model.safetensors"
    save_file(tensors, target, metadata={"format": "pt"})
    target.chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=56)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    sentencepiece.set_random_generator_seed(SEED)

    pairs = read_pairs()
    train_tokenizer(pairs)
    encoder = Encoder()
    model = build_model()
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(pairs.trained)} samples"
    )
    train(model, pairs, encoder, arguments.epochs)
    save(model)
    model = model.to(torch.float16).to(torch.float32).eval()
    report(model, encoder, "trained", pairs.trained)
    report(model, encoder, "held out", pairs.held_out)
    chats = join_chats(pairs.trained, random.Random(SEED))
    long = [Conversation(rounds=chat) for chat in itertools.islice(chats, 400) if len(chat) >= 6]
    report(model, encoder, "trained, after five rounds or more", long)


if __name__ == "__main__":
    main()
