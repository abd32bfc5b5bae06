"""Messages -> the token ids of a prompt, for native families and for library models.

Which messages a request may hold is the protocol's affair; here is only what a model can write
down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from trueup.adapt.native.family import Speech
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodeChat(Protocol):
    """Returns a conversation's prompt as token ids.

    With `continue_final_message` it ends inside the last message, the assistant's.

    Raises:
        RequestError: roles or an order of messages that the model cannot write down.
    """

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> list[int]:
        """See the class."""


def chat_encoder(
    tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, speech: Speech | None
) -> EncodeChat:
    """The encoder of a loaded model; `speech` is None for a library model."""
    if speech is not None and speech.encode_chat is not None:
        return partial(speech.encode_chat, checkpoint, tokenizer)
    return partial(encode_by_template, tokenizer)


def encode_by_template(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
) -> list[int]:
    """Encodes a conversation with the model's own chat template (see `EncodeChat`)."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise RequestError(
            "this model has no chat template: it completes text, it does not chat",
            param="messages",
            code="chat_not_supported",
            hint="ask it on /v1/completions",
        )
    if continue_final_message and messages[-1].get("role") != "assistant":
        raise RequestError(
            "`continue_final_message` continues the assistant, the last message is of role "
            f"`{messages[-1].get('role')}`",
            param="continue_final_message",
        )
    try:
        ids = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=True,
            return_dict=False,
            add_generation_prompt=add_generation_prompt and not continue_final_message,
            continue_final_message=continue_final_message,
        )
    except (TemplateError, ValueError) as error:
        # Templates refuse orders of roles with an exception of their own words.
        raise RequestError(
            f"the model's chat template does not take these messages: {error}", param="messages"
        ) from error
    return [int(each) for each in ids]
