"""The mode script: LlamaFactory's ChatModel in this process."""

from __future__ import annotations

from typing import Any

from .channel import Channel
from .faults import SpecFault, error_of
from .lines import Message
from .serving import arguments_of, begin, serve


def run(channel: Channel, spec: Message) -> int:
    """Load what `spec` says, then answer until the keeper is gone."""
    try:
        chat_model = _loaded(spec, begin(spec, channel))
    except BaseException as error:  # LlamaFactory may exit: that is a failed load too
        channel.send({"event": "state", "state": "failed", "error": error_of(error)})
        return 1
    return serve(chat_model, spec, channel)


def _loaded(spec: Message, stage: Any) -> Any:
    from llamafactory.chat import ChatModel  # type: ignore[import-not-found,unused-ignore]
    from llamafactory.data.template import (  # type: ignore[import-not-found,unused-ignore]
        TEMPLATES,
    )

    template = spec.get("template")
    if template is not None and template not in TEMPLATES:
        raise SpecFault("TemplateUnknown", template, known=sorted(TEMPLATES))
    stage("loading weights")
    chat_model = ChatModel(arguments_of(spec))
    if not getattr(chat_model.engine, "can_generate", True):
        raise SpecFault("NoChat", spec["base_model_path"])
    return chat_model
