"""The planned side of a mapped layout without its weights, tokenizer and chat format included."""

from __future__ import annotations

from typing import Any

from trueup.adapt.chat import chat_encoder
from trueup.adapt.load_native import library_class, native_config, native_tokenizer
from trueup.adapt.native.family import NativeFamily
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.proof.job import Job
from trueup.proof.subject import Messages, Subject


def native_skeleton(family: NativeFamily, checkpoint: Checkpoint, job: Job, dtype: Any) -> Subject:
    """The library's class of the family's config, with parameters on the meta device.

    Raises: AdaptError, CheckpointError.
    """
    from trueup.proof.streamed import without_weights

    tokenizer, stops = native_tokenizer(family, checkpoint, job.plan)
    config = native_config(family, checkpoint, tokenizer, stops, dtype)
    with without_weights(dtype):
        model = library_class(job.plan.implementation or "")(config)
    encode = chat_encoder(tokenizer, checkpoint, family.speech)

    def encode_chat(messages: Messages) -> list[int]:
        return [int(each) for each in encode(messages)]

    return Subject(model=model, tokenizer=tokenizer, encode_chat=encode_chat, runs_own_code=False)
