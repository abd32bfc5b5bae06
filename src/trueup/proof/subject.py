"""A loaded model as a proof asks it, on either side.

The planned side comes from `adapt.load`, which is what serves. The reference comes from
`from_pretrained` of its own environment, as the model's author meant it: nothing of ours takes
part, so a mistake of our loader cannot be on both sides. Runs in a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueup.adapt.chat import EncodeChat
from trueup.adapt.foreign import error_line
from trueup.adapt.planned_files import checkpoint_of
from trueup.errors import AdaptError
from trueup.proof.job import Job

Messages = Sequence[Mapping[str, str]]
CAUSAL = "AutoModelForCausalLM"
EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model in evaluation mode with its tokenizer.

    `encode_chat` gives a conversation's token ids, None where the model knows no chats; it raises
    where it cannot write this one.
    `runs_own_code` says that tokenizer and model are the published Python files, `is_served` that
    it was loaded by what serves.
    """

    model: Any
    tokenizer: Any
    encode_chat: Callable[[Messages], list[int] | None]
    runs_own_code: bool
    is_served: bool = False


def load_subject(
    job: Job, progress: Callable[[float], None], inspect: Callable[[Any], None]
) -> Subject:
    """Load the job's side whole; `inspect` is handed the model before its first forward pass.

    Raises: TrueUpError; of the reference whatever its code raises.
    """
    if job.side == "reference":
        return _reference(job, inspect)
    from trueup.adapt.load import load_encoder_plan, load_plan, runs_own_code

    if job.plan.kind == EMBEDDING:
        encoder = load_encoder_plan(job.plan, progress, dtype=job.dtype, inspect=inspect)
        return Subject(
            model=encoder.model,
            tokenizer=encoder.tokenizer,
            encode_chat=lambda _: None,
            runs_own_code=False,
            is_served=True,
        )
    loaded = load_plan(replace(job.plan, dtype=job.dtype), progress, inspect=inspect)
    return Subject(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        encode_chat=chat_tokens(loaded.encode_chat),
        runs_own_code=runs_own_code(job.plan),
        is_served=True,
    )


def chat_tokens(encode: EncodeChat) -> Callable[[Messages], list[int] | None]:
    """A plan's way to write conversations down; it raises for one that it refuses."""
    return lambda messages: [int(each) for each in encode(messages)]


def _reference(job: Job, inspect: Callable[[Any], None]) -> Subject:
    import torch
    import transformers

    directory = reference_directory(job)
    auto = getattr(transformers, reference_class(job, directory))
    model = auto.from_pretrained(
        directory,
        trust_remote_code=job.code is not None,
        local_files_only=True,
        torch_dtype=getattr(torch, job.dtype),
    )
    if job.dtype == "float32":
        # ChatGLM-6B builds its layers in fp16, whatever it is asked for; its authors call `float`.
        model.float()
    model.eval()
    model.requires_grad_(False)
    model.to(job.plan.device)
    inspect(model)
    return reference_subject(job, directory, model)


def reference_directory(job: Job) -> Path:
    """What the reference is loaded from: the model's directory, with the agreed code in it.

    Raises: AdaptError for code that may not run any more.
    """
    model = job.plan.model
    if job.code is None:
        return Path(model.directory)
    from trueup.adapt.staging import stage
    from trueup.trust.copy import kept_code

    code = kept_code(job.code, source=model.source, directory=model.directory)
    return stage(checkpoint_of(job.plan), code).directory


def reference_subject(job: Job, directory: Path, model: Any) -> Subject:
    """The subject of a reference model, with its tokenizer from the same directory."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        directory, trust_remote_code=job.code is not None, local_files_only=True
    )
    return Subject(
        model=model,
        tokenizer=tokenizer,
        encode_chat=lambda messages: published_chat(model, tokenizer, messages),
        runs_own_code=job.code is not None,
    )


def reference_class(job: Job, directory: Path) -> str:
    """The Auto class that the reference is loaded by."""
    from trueup.checkpoint.json_file import read_json

    if job.plan.kind == EMBEDDING:
        return "AutoModel"
    if job.code is None:
        return CAUSAL
    auto_map = read_json(directory, "config.json")[0].get("auto_map", {})
    for name in (CAUSAL, "AutoModelForSeq2SeqLM", "AutoModel"):
        if name in auto_map:
            # ChatGLM's causal model is published as a model for sequence to sequence as well.
            return "AutoModel" if "AutoModel" in auto_map and name != CAUSAL else name
    raise AdaptError(
        "the `auto_map` of config.json names no class of a model", where=str(directory)
    )


class _Captured(Exception):
    def __init__(self, ids: list[int]) -> None:
        super().__init__()
        self.ids = ids


def published_chat(model: Any, tokenizer: Any, messages: Messages) -> list[int] | None:
    """The token ids that the model's own `chat` would generate from, else its template's.

    `chat` is called with a `generate` that only looks at its input.

    Raises: AdaptError with what `chat` met.
    """
    if callable(getattr(model, "chat", None)):
        return _chat_of_model(model, tokenizer, messages)
    if getattr(tokenizer, "chat_template", None):
        ids = tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=True, add_generation_prompt=True
        )
        ids = ids["input_ids"] if isinstance(ids, Mapping) else ids
        return [int(each) for each in ids]
    return None


def _chat_of_model(model: Any, tokenizer: Any, messages: Messages) -> list[int]:
    import inspect

    def capture(*inputs: Any, **named: Any) -> None:
        ids = next((named[key] for key in ("input_ids", "inputs") if key in named), None)
        given: Any = inputs[0] if ids is None else ids
        raise _Captured([int(each) for each in given[0]])

    *before, last = messages
    pairs = [(before[at]["content"], before[at + 1]["content"]) for at in range(0, len(before), 2)]
    if "messages" in inspect.signature(model.chat).parameters:
        tries: tuple[dict[str, Any], ...] = ({"messages": [dict(each) for each in messages]},)
    else:
        query = {"query": last["content"]}
        turns = [dict(each) for each in before]
        tries = ({**query, "history": pairs}, {**query, "history": turns})
    fault = "its `chat` does not come to generate"
    own = model.__dict__.get("generate")
    model.generate = capture
    try:
        for arguments in tries:
            try:
                model.chat(tokenizer, **arguments)
            except _Captured as captured:
                return captured.ids
            except Exception as error:  # a history of another shape: whatever such code raises
                fault = f"its `chat` raises {type(error).__name__}: {error_line(error)}"
        raise AdaptError(fault)
    finally:
        del model.generate
        if own is not None:
            model.generate = own
