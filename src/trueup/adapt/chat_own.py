"""Messages -> the token ids of a prompt, as a model's own code writes them.

A chat template is taken where there is one. Else the model's own `.chat()` is called with its
`generate` replaced: what it would have fed is the prompt, and what would have ended the answer
ends it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from trueup.adapt.chat import EncodeChat, encode_by_template
from trueup.adapt.native.chat_format import ROLES
from trueup.adapt.template import encode_template
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import RequestError

# Keywords of `.chat()` that take the system message.
SYSTEM_KEYWORDS = ("meta_instruction", "system")
PROBE = ({"role": "user", "content": "a"},)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChat:
    """How conversations are written down, and the tokens by which `.chat()` ends answers."""

    encode: EncodeChat
    stop_token_ids: tuple[int, ...] = ()


def own_chat(model: Any, tokenizer: Any, checkpoint: Checkpoint) -> OwnChat:
    """The chat format of a loaded model; one that has none refuses every conversation."""
    template = getattr(tokenizer, "chat_template", None) or _published_template(checkpoint)
    if template is not None:
        return OwnChat(encode=_TemplateEncoder(tokenizer, template))
    chat = getattr(model, "chat", None)
    style = _style(chat) if callable(chat) else None
    if style is not None:
        encoder = _ChatEncoder(model, tokenizer, style)
        try:
            fed = encoder.fed(PROBE)
        except Exception:  # a base model has the function, and not what it reads
            return OwnChat(encode=_TemplateEncoder(tokenizer, None))
        return OwnChat(encode=encoder, stop_token_ids=fed.stop_token_ids)
    build = getattr(tokenizer, "build_chat_input", None)
    if callable(build):
        return OwnChat(encode=_BuildEncoder(build))
    return OwnChat(encode=_TemplateEncoder(tokenizer, None))


def _published_template(checkpoint: Checkpoint) -> str | None:
    """The template in the files: releases before 4.43 look in fewer places."""
    templates = checkpoint.tokenizer.templates
    named = [each for each in templates if each.name == "default"] or list(templates)
    return named[0].text if named else None


class _TemplateEncoder:
    def __init__(self, tokenizer: Any, template: Any) -> None:
        self._tokenizer = tokenizer
        self._template = template

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> list[int]:
        if self._template is None:
            self._tokenizer.chat_template = None
            return encode_by_template(self._tokenizer, messages)  # says that there is none
        return encode_template(
            self._tokenizer,
            self._template,
            messages,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fed:
    token_ids: list[int]
    stop_token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How `.chat()` takes a conversation: whole, or a question and the rounds before it."""

    takes_messages: bool
    takes_role: bool
    takes_pairs: bool
    system_keyword: str | None


def _style(chat: Callable[..., Any]) -> _Style | None:
    parameters = inspect.signature(chat).parameters
    if "tokenizer" not in parameters:
        return None
    takes_messages = "messages" in parameters
    if not takes_messages and not {"query", "history"} <= set(parameters):
        return None
    takes_role = "role" in parameters
    return _Style(
        takes_messages=takes_messages,
        takes_role=takes_role,
        takes_pairs=not takes_messages and not takes_role,
        system_keyword=next((each for each in SYSTEM_KEYWORDS if each in parameters), None),
    )


class _FedInsteadError(BaseException):
    """What `.chat()` gave to `generate`; no `except Exception` of its code may keep it."""

    def __init__(self, inputs: Any, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.inputs = inputs
        self.options = options


def _instead(*inputs: Any, **options: Any) -> NoReturn:
    given = options.get("input_ids", options.get("inputs", inputs[0] if inputs else None))
    raise _FedInsteadError(given, options)


class _ChatEncoder:
    """Asks `.chat()`; see the module."""

    def __init__(self, model: Any, tokenizer: Any, style: _Style) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._style = style

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> list[int]:
        _check_is_question(add_generation_prompt, continue_final_message)
        try:
            return self.fed(messages).token_ids
        except RequestError:
            raise
        except (ValueError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
            raise RequestError(
                "the model's own chat function does not take these messages: "
                f"{type(error).__name__}: {error}",
                param="messages",
            ) from error

    def fed(self, messages: Sequence[Mapping[str, Any]]) -> _Fed:
        arguments = self._arguments(_turns(messages))
        # On the instance, and for this call only: the class stays what it is.
        self._model.generate = _instead
        try:
            self._model.chat(tokenizer=self._tokenizer, **arguments)
        except _FedInsteadError as fed:
            ids = [int(each) for each in fed.inputs[0]]
            return _Fed(token_ids=ids, stop_token_ids=self._stops(fed.options))
        finally:
            del self._model.generate
        raise NotImplementedError("it answers without `generate`")

    def _arguments(self, turns: list[dict[str, str]]) -> dict[str, Any]:
        style = self._style
        if style.takes_messages:
            for at, turn in enumerate(turns):
                if turn["role"] == "observation" or (turn["role"] == "system" and at):
                    raise _misplaced(turn["role"], at)
            return {"messages": turns}
        *history, last = turns
        if style.takes_role:
            if last["role"] not in ("user", "observation"):
                raise _misplaced(last["role"], len(history))
            return {"query": last["content"], "history": history, "role": last["role"]}
        return _rounds(turns, style.system_keyword)

    def _stops(self, options: Mapping[str, Any]) -> tuple[int, ...]:
        """What ends an answer: the keyword, else the config that was given, else the model's."""
        given = options.get("generation_config")
        for value in (
            options.get("eos_token_id"),
            getattr(given, "eos_token_id", None),
            getattr(getattr(self._model, "generation_config", None), "eos_token_id", None),
        ):
            ids = [value] if isinstance(value, int) else list(value or ())
            if ids:
                break
        words = options.get("stop_words_ids") or ()
        ids += [word[0] for word in words if len(word) == 1]
        return tuple(dict.fromkeys(int(each) for each in ids if each is not None))


class _BuildEncoder:
    """The tokenizer's own function, of models without a `.chat()`."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> list[int]:
        _check_is_question(add_generation_prompt, continue_final_message)
        *history, last = _turns(messages)
        if last["role"] not in ("user", "observation"):
            raise _misplaced(last["role"], len(history))
        built = self._build(last["content"], history=history, role=last["role"])
        return [int(each) for each in built["input_ids"][0]]


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    turns = []
    for at, message in enumerate(messages):
        role, content = ROLES.get(message.get("role", "")), message.get("content")
        if role is None:
            choices = ", ".join(f"`{name}`" for name in ROLES)
            raise RequestError(
                f"role `{message.get('role')}` is not one of {choices}",
                param=f"messages[{at}].role",
            )
        if not isinstance(content, str):
            raise RequestError(
                f"the content of a message must be text, not `{type(content).__name__}`",
                param=f"messages[{at}].content",
            )
        turns.append({"role": role, "content": content})
    if not turns:
        raise RequestError("`messages` is empty, one message is needed", param="messages")
    return turns


def _rounds(turns: list[dict[str, str]], system_keyword: str | None) -> dict[str, Any]:
    """A question and the pairs before it."""
    arguments: dict[str, Any] = {}
    texts: list[str] = []
    for at, turn in enumerate(turns):
        if turn["role"] == "system" and at == 0 and system_keyword is not None:
            arguments[system_keyword] = turn["content"]
            continue
        if turn["role"] != ("assistant" if len(texts) % 2 else "user"):
            raise _misplaced(turn["role"], at)
        texts.append(turn["content"])
    if len(texts) % 2 == 0:
        raise _misplaced(turns[-1]["role"], len(turns) - 1)
    *past, query = texts
    pairs = list(zip(past[::2], past[1::2], strict=True))
    return {**arguments, "query": query, "history": pairs}


def _misplaced(role: str, at: int) -> RequestError:
    return RequestError(
        f"the model's own chat format has no place for a `{role}` message at position {at}",
        param=f"messages[{at}].role",
        where=f"messages[{at}]",
        hint="put its text into the first message of role `user`"
        if role == "system"
        else "let messages of `user` and `assistant` alternate, one of `user` last",
    )


def _check_is_question(add_generation_prompt: bool, continue_final_message: bool) -> None:
    if continue_final_message:
        raise RequestError(
            "the model's own chat function answers questions, it does not continue an answer",
            param="continue_final_message",
        )
    if not add_generation_prompt:
        raise RequestError(
            "the model's own chat function always opens the answer",
            param="add_generation_prompt",
        )
