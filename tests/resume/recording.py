"""The real engine in a worker that will be killed: it keeps every step's logits in a file.

It does not end an answer while its gate is closed, so that a kill always finds one under way.
`fault` plants a mistake that a resumed answer must not survive unnoticed.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trueup.adapt.load import load_plan
from trueup.adapt.plan import Plan
from trueup.engines.base import Step
from trueup.engines.chat import TorchChatEngine
from trueup.engines.sampling import Sampler
from trueup.engines.sequence import ModelSequence

Fault = Literal["none", "rope-position", "noise-position", "stale-kv", "zeroed-kv"]
FAULTS: tuple[Fault, ...] = ("rope-position", "noise-position", "stale-kv", "zeroed-kv")

GATES = 64
OPEN = b"1"
# Requests with such a seed say this now and then, a byte a token, whatever the model thinks.
SCRIPTED_SEED = 1000
SCRIPT = "😀天é".encode()
SCRIPT_PERIOD = 14
# Steps of a first worker that a planted fault is to come after.
HALF = 8
_BIAS = 1e4
# A record that a kill has cut is told by what follows it.
_MAGIC = bytes.fromhex("6b1d5ce07f42a93bb1e8d04c97f3250a")
_HEAD = struct.Struct("<qqiiii")


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """One step of one worker: the logits (fp32 [vocabulary]) and what was chosen from them."""

    seed: int
    pid: int
    choice: int
    position: int
    token: int
    logits: NDArray[np.float32]


def read_records(data: bytes) -> list[Recorded]:
    """All records that are whole."""
    records = []
    for part in data.split(_MAGIC)[1:]:
        if len(part) < _HEAD.size:
            continue
        seed, pid, choice, position, token, size = _HEAD.unpack_from(part)
        if len(part) == _HEAD.size + 4 * size:
            logits = np.frombuffer(part, np.float32, offset=_HEAD.size)
            records.append(
                Recorded(
                    seed=seed, pid=pid, choice=choice, position=position, token=token, logits=logits
                )
            )
    return records


class Recorder:
    """Where an engine writes its records and looks for its gates."""

    def __init__(self, record_fd: int, gate_fd: int) -> None:
        self._record_fd = record_fd
        self._gate_fd = gate_fd

    def write(
        self, *, seed: int, choice: int, position: int, token: int, logits: torch.Tensor
    ) -> None:
        head = _HEAD.pack(seed, os.getpid(), choice, position, token, len(logits))
        os.write(self._record_fd, _MAGIC + head + logits.numpy().tobytes())

    def wait(self, seed: int, is_cancelled: Callable[[], bool]) -> None:
        while os.pread(self._gate_fd, 1, seed % GATES) != OPEN and not is_cancelled():
            time.sleep(0.001)


class RecordingSampler(Sampler):
    """Writes down what it chooses from; says the script where the seed asks for it."""

    def __init__(
        self,
        sampler: Sampler,
        recorder: Recorder | None,
        *,
        choice: int,
        script_ids: Sequence[int],
        skew: int,
    ) -> None:
        self.__dict__.update(vars(sampler))
        self._recorder = recorder
        self._global_choice = choice
        self._script_ids = script_ids if self._seed >= SCRIPTED_SEED else ()
        self._skew = skew

    def choose(self, logits: torch.Tensor, answer: Sequence[int]) -> int:
        position = len(answer)
        said = logits
        place = position % SCRIPT_PERIOD
        if place < len(self._script_ids):
            said = logits.clone()
            said[self._script_ids[place]] += _BIAS
        token = super().choose(said, [*answer, *answer[:1] * self._skew])
        if self._recorder is not None:
            self._recorder.write(
                seed=self._seed,
                choice=self._global_choice,
                position=position,
                token=token,
                logits=logits,
            )
        return token


class RecordingEngine(TorchChatEngine):
    """The engine, watched."""

    def __init__(self, loaded: Any, recorder: Recorder | None = None, fault: Fault = "none"):
        super().__init__(loaded)
        self._recorder = recorder
        self._fault = fault
        self._script_ids = byte_ids(loaded.tokenizer, SCRIPT)

    def _answer(self, prompt: Any, request: Any, is_cancelled: Any, **parts: Any) -> Iterator[Step]:
        choice = prompt.first_choice + parts["choice"]
        sequence: ModelSequence = parts["sequence"]
        is_resumed = bool(parts["given"])
        if is_resumed and self._fault == "zeroed-kv":
            zero(sequence)
        if is_resumed and self._fault == "rope-position":
            sequence._model = _Misplaced(sequence._model)
        if is_resumed and self._fault == "stale-kv":
            # What was answered since the prompt is not in the cache, but for the last token.
            parts["sequence"] = _Forgetful(sequence, len(parts["given"]))
        parts["sampler"] = RecordingSampler(
            parts["sampler"],
            self._recorder,
            choice=choice,
            script_ids=self._script_ids,
            skew=int(is_resumed and self._fault == "noise-position"),
        )
        last_choice = len(getattr(request, "prompts", (0,))) * request.sampling.n - 1
        for count, step in enumerate(super()._answer(prompt, request, is_cancelled, **parts)):
            # What is to go wrong after a kill needs something that is left to do then.
            if self._fault != "none" and not is_resumed and count == HALF and self._recorder:
                self._recorder.wait(request.sampling.seed, is_cancelled)
            if step.finish_reason is not None and choice == last_choice and self._recorder:
                self._recorder.wait(request.sampling.seed, is_cancelled)
            yield step


class _Misplaced:
    """A model whose tokens stand one place further on."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, **arguments: Any) -> Any:
        first = arguments["past_key_values"].get_seq_length() + 1
        tokens = arguments["input_ids"]
        places = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        return self._model(position_ids=places[None], **arguments)


class _Forgetful:
    """A sequence that does not take in the first tokens that it is fed."""

    def __init__(self, sequence: ModelSequence, tokens: int) -> None:
        self._sequence = sequence
        self._left = tokens - 1

    def feed(self, token_ids: Sequence[int]) -> torch.Tensor:
        forgotten = min(self._left, len(token_ids) - 1)
        self._left -= forgotten
        return self._sequence.feed(token_ids[forgotten:])


def zero(sequence: ModelSequence) -> None:
    """Lose what the cache has of every layer."""
    for layer in sequence._cache.layers:
        layer.keys = torch.zeros_like(layer.keys)
        layer.values = torch.zeros_like(layer.values)


def byte_ids(tokenizer: Any, text: bytes) -> list[int]:
    """The tokens of single bytes, as sentencepiece names them."""
    ids: list[int] = tokenizer.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in text])
    return ids


def load_recording(
    plan: Plan, progress: Callable[[float], None], recorder: Recorder, fault: Fault
) -> RecordingEngine:
    """Load the plan's model into the watched engine."""
    return RecordingEngine(load_plan(plan, progress=progress), recorder, fault)
