"""Asks an embedding model the questions of a proof; runs in a child process.

Hidden states stand where logits do: float32 [positions, dimensions]. The vectors of the reference
are pooled here, each text alone; those of the planned side come from the encoder that serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trueup.adapt.plan import Pooling
from trueup.proof.answering import Array, Say, kept_positions, prompt_of
from trueup.proof.questions import ALONE, BATCH, LIMIT, Questions
from trueup.proof.subject import Subject


def answer_embedding(
    subject: Subject,
    questions: Questions,
    asked: Mapping[str, Array] | None,
    say: Say,
    pooling: Pooling,
) -> dict[str, Array]:
    """All arrays of one side, by name; `asked` are those of the side that was asked before."""
    answers: dict[str, Array] = {}
    lengths = {f"prompt-{each}": each for each in questions.lengths}
    if questions.limit_tokens:
        lengths[LIMIT] = questions.limit_tokens
    for case, tokens in lengths.items():
        say(f"a text of {tokens} tokens")
        ids = _prompt(subject, questions, asked, case, tokens)
        hidden = hidden_states(subject.model, ids)
        answers[f"{case}/ids"] = ids
        answers[f"{case}/logits"] = hidden[kept_positions(len(hidden))]
    say(f"{len(questions.batch_lengths)} texts, alone and in one batch")
    rows = [
        _prompt(subject, questions, asked, f"{ALONE}-{each}", each)
        for each in questions.batch_lengths
    ]
    for ids in rows:
        answers[f"{ALONE}-{ids.shape[1]}/ids"] = ids
    if not rows:
        return answers
    if subject.is_served:
        return answers | _served(subject, [ids[0].tolist() for ids in rows], pooling)
    vectors = np.stack([pooled(hidden_states(subject.model, ids), pooling) for ids in rows])
    # What a text becomes may not depend on those beside it.
    return answers | {f"{ALONE}/logits": vectors, f"{BATCH}/logits": vectors}


def _prompt(
    subject: Subject,
    questions: Questions,
    asked: Mapping[str, Array] | None,
    case: str,
    tokens: int,
) -> Array:
    if asked is not None:
        return asked[f"{case}/ids"]
    return prompt_of(subject, tokens, questions.seed + tokens)


def _served(subject: Subject, rows: list[list[int]], pooling: Pooling) -> dict[str, Array]:
    """The vectors of the encoder that serves, one row a time and all in one padded batch."""
    import torch

    from trueup.engines.encoder import TorchEncoder

    encoder = TorchEncoder(subject.model, pooling, pad_id=subject.tokenizer.pad_token_id)
    threads = torch.get_num_threads()
    alone = [encoder.encode([row], threads=threads) for row in rows]
    return {
        f"{ALONE}/logits": np.concatenate(alone),
        f"{BATCH}/logits": encoder.encode(rows, threads=threads),
    }


def hidden_states(model: Any, ids: Array) -> Array:
    """The last hidden states of one text, [tokens, dimensions]."""
    import torch

    with torch.no_grad():
        given = torch.from_numpy(ids).to(model.device)
        output = model(input_ids=given, attention_mask=torch.ones_like(given), return_dict=True)
        hidden: Array = output.last_hidden_state[0].float().cpu().numpy()
    return hidden


def pooled(hidden: Array, pooling: Pooling) -> Array:
    """One vector of the hidden states of a text, [dimensions]."""
    if pooling == "mean":
        mean: Array = hidden.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean
    one: Array = hidden[0 if pooling == "cls" else -1]
    return one
