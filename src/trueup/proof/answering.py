"""Asks a loaded model the questions of a proof; runs in a child process.

Logits are float32 [positions, vocabulary]. Of a long prompt some positions are kept, spread over
it, with the last one. Generating is greedy, without stop tokens, with the logits of each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trueup.errors import TrueUpError
from trueup.proof.questions import (
    BATCH,
    CONVERSATIONS,
    GREEDY,
    LIMIT,
    SENTENCES,
    SERVED,
    UNCACHED,
    Questions,
    start_tokens,
    text_of,
)
from trueup.proof.subject import Subject

Array = npt.NDArray[Any]
Say = Callable[[str], None]
KEPT_POSITIONS = 32
# The engine that serves reads the prompt of the greedy answer in pieces of so many tokens.
PIECE_TOKENS = 8


def answer(
    subject: Subject, questions: Questions, asked: Mapping[str, Array] | None, say: Say
) -> dict[str, Array]:
    """All arrays of one side, by name; `asked` are those of the side that was asked before."""
    answers: dict[str, Array] = {}

    def keep(case: str, ids: Array, **more: Array) -> None:
        answers[f"{case}/ids"] = ids
        answers.update({f"{case}/{name}": values for name, values in more.items()})

    def prompt(case: str, tokens: int) -> Array:
        if asked is not None:
            return asked[f"{case}/ids"]
        return prompt_of(subject, tokens, questions.seed + tokens)

    for length in questions.lengths:
        case = f"prompt-{length}"
        say(f"a prompt of {length} tokens")
        ids = prompt(case, length)
        keep(case, ids, logits=forward(subject.model, ids))
    start = start_tokens(questions.lengths)
    for case, tokens, uses_cache in (
        (GREEDY, questions.greedy_tokens, True),
        (UNCACHED, questions.uncached_tokens, False),
    ):
        if tokens:
            say(f"{tokens} tokens {'with' if uses_cache else 'without'} the cache")
            ids = prompt(case, start)
            made = generate(subject.model, {"input_ids": _tensor(subject, ids)}, tokens, uses_cache)
            keep(case, ids, **made)
    if questions.batch_lengths:
        say(f"a batch of {len(questions.batch_lengths)} prompts, padded on the left")
        ids, inputs = batch_of(subject, questions, asked)
        keep(BATCH, ids, **generate(subject.model, inputs, questions.batch_tokens, True))
    if questions.limit_tokens:
        say(f"a prompt of {questions.limit_tokens} tokens")
        ids = prompt(LIMIT, questions.limit_tokens)
        inputs = {"input_ids": _tensor(subject, ids)}
        keep(LIMIT, ids, **generate(subject.model, inputs, questions.limit_steps, True))
    if asked is not None and f"{GREEDY}/tokens" in asked and is_stepped(subject):
        say("the greedy answer, by the engine that serves")
        answers |= served(subject.model, asked[f"{GREEDY}/ids"], asked[f"{GREEDY}/tokens"])
    return answers


def is_stepped(subject: Subject) -> bool:
    """Whether our own decode loop serves the model; all others generate by themselves."""
    if not subject.is_served or subject.runs_own_code:
        return False
    from trueup.adapt.key_value_cache import steps_by_cache

    return steps_by_cache(subject.model)


def served(model: Any, ids: Array, tokens: Array) -> dict[str, Array]:
    """Logits of each step of an answer that is given, and the tokens that they choose.

    By the very sequence and head that chat is served with: the prompt in several pieces, then
    token by token. Changes the model, so it comes last.
    """
    from trueup.engines.head import widen_head
    from trueup.engines.sequence import ModelSequence, forward_options

    widen_head(model)
    sequence = ModelSequence(model, options=forward_options(model))
    prompt, answer = ids[0].tolist(), tokens[0].tolist()
    pieces = [prompt[at : at + PIECE_TOKENS] for at in range(0, len(prompt), PIECE_TOKENS)]
    fed = [sequence.feed(each) for each in (*pieces, *([each] for each in answer[:-1]))]
    logits: Array = np.stack([each.cpu().numpy() for each in fed[len(pieces) - 1 :]])
    return {f"{SERVED}/logits": logits, f"{SERVED}/tokens": logits.argmax(-1)[None]}


def token_facts(subject: Subject) -> dict[str, Any]:
    """The token ids of texts and of conversations; None for one that cannot be written down.

    `chat_faults` say why not, None where the model just knows no chats.
    """
    chats: list[list[int] | None] = []
    faults: list[str | None] = []
    for messages in CONVERSATIONS:
        try:
            chats.append(subject.encode_chat(messages))
            faults.append(None)
        except TrueUpError as error:
            chats.append(None)
            faults.append(error.cause)
    return {
        "texts": [
            [int(each) for each in subject.tokenizer(text)["input_ids"]] for text in SENTENCES
        ],
        "chats": chats,
        "chat_faults": faults,
    }


def prompt_of(subject: Subject, tokens: int, seed: int) -> Array:
    """A prompt of that length, shape [1, tokens], with the tokenizer's prefix and ending."""
    sentences = 4
    ids: list[int] = []
    while len(ids) < tokens:
        ids = [int(each) for each in subject.tokenizer(text_of(seed, sentences))["input_ids"]]
        sentences *= 2
    # Special tokens stand at both ends; what is too long is taken out of the middle.
    head = (tokens + 1) // 2
    kept = ids[:head] + (ids[head - tokens :] if tokens > head else [])
    return np.array([kept], dtype=np.int64)


def forward(model: Any, ids: Array) -> Array:
    """Logits of one prompt at the kept positions."""
    import torch

    with torch.no_grad():
        given = torch.from_numpy(ids).to(_device(model))
        logits = model(input_ids=given, use_cache=False, return_dict=True).logits[0]
        positions = kept_positions(ids.shape[1])
        kept: Array = logits[torch.from_numpy(positions).to(logits.device)].float().cpu().numpy()
    return kept


def kept_positions(tokens: int) -> Array:
    """Which positions of a text are kept: spread over it, the first and the last among them."""
    count = min(tokens, KEPT_POSITIONS)
    kept: Array = np.unique(np.linspace(0, tokens - 1, count).round().astype(np.int64))
    return kept


def generate(
    model: Any, inputs: Mapping[str, Any], tokens: int, uses_cache: bool
) -> dict[str, Array]:
    """Greedy tokens [rows, tokens] and the logits of each step, [tokens * rows, vocabulary].

    `read` says how many positions each step fed to the model: one, where there is a cache.
    """
    import torch
    from transformers import GenerationConfig

    ids = inputs["input_ids"]
    given = {"attention_mask": torch.ones_like(ids), **inputs}
    settings = GenerationConfig(
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
        use_cache=uses_cache,
        output_scores=True,
        return_dict_in_generate=True,
    )
    published = model.generation_config
    # Stop tokens and penalties of the model would be filled in.
    model.generation_config = GenerationConfig(pad_token_id=0)
    read: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, inputs, named: read.append(_positions(inputs, named)), with_kwargs=True
    )
    try:
        with torch.no_grad():
            made = model.generate(**given, generation_config=settings)
    finally:
        hook.remove()
        model.generation_config = published
    logits: Array = torch.cat([each.float() for each in made.scores]).cpu().numpy()
    return {
        "tokens": made.sequences[:, ids.shape[1] :].cpu().numpy(),
        "logits": logits,
        "read": np.array(read, dtype=np.int64),
    }


def _positions(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> int:
    """How many positions a forward pass is given."""
    for name in ("input_ids", "inputs_embeds"):
        if named.get(name) is not None:
            return int(named[name].shape[1])
    return int(inputs[0].shape[1]) if inputs else 0


def batch_of(
    subject: Subject, questions: Questions, asked: Mapping[str, Array] | None
) -> tuple[Array, dict[str, Any]]:
    """Prompts of several lengths padded on the left: [rows, tokens], and what generate takes.

    A model of the first kind (2D positions) has its mask and positions made by its own tokenizer.
    """
    if subject.runs_own_code and (made := _own_batch(subject, questions)) is not None:
        return made
    if asked is not None:
        ids = asked[f"{BATCH}/ids"]
    else:
        rows = [prompt_of(subject, each, questions.seed + each) for each in questions.batch_lengths]
        ids = np.zeros((len(rows), max(questions.batch_lengths)), dtype=np.int64)
        for at, row in enumerate(rows):
            ids[at, -row.shape[1] :] = row[0]
    mask = np.zeros_like(ids)
    for at, length in enumerate(questions.batch_lengths):
        mask[at, -length:] = 1
    given = {"input_ids": _tensor(subject, ids), "attention_mask": _tensor(subject, mask)}
    return ids, given


def _own_batch(subject: Subject, questions: Questions) -> tuple[Array, dict[str, Any]] | None:
    """The batch that its own tokenizer pads, where its mask is more than [rows, tokens]."""
    rows = [prompt_of(subject, each, questions.seed + each) for each in questions.batch_lengths]
    try:
        made = subject.tokenizer.pad(
            {"input_ids": [row[0].tolist() for row in rows]}, padding=True, return_tensors="pt"
        )
    except Exception:  # no padding token, or one of the many ways in which such code fails
        return None
    if made["attention_mask"].dim() == 2:
        return None
    device = _device(subject.model)
    return made["input_ids"].numpy(), {name: each.to(device) for name, each in made.items()}


def _tensor(subject: Subject, values: Array) -> Any:
    import torch

    return torch.from_numpy(values).to(_device(subject.model))


def _device(model: Any) -> Any:
    return model.device
