"""A chat template of a model's own tokenizer, rendered by any transformers from 4.27 on."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from trueup.errors import RequestError


def encode_template(
    tokenizer: Any,
    template: Any,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool,
    continue_final_message: bool,
) -> list[int]:
    """The prompt of a conversation as token ids.

    A tokenizer's own function is asked where there is one: some write roles that no template
    could. `template` is what the tokenizer or its files have, a text or texts by their names.

    Raises: RequestError where the template does not take the messages.
    """
    from jinja2 import TemplateError

    if continue_final_message and messages[-1].get("role") != "assistant":
        raise RequestError(
            "`continue_final_message` continues the assistant, the last message is of role "
            f"`{messages[-1].get('role')}`",
            param="continue_final_message",
        )
    given = [dict(message) for message in messages]
    opens_answer = add_generation_prompt and not continue_final_message
    apply = getattr(tokenizer, "apply_chat_template", None)
    try:
        if apply is None:
            if continue_final_message:
                raise _no_continuing()
            return _rendered(tokenizer, template, given, opens_answer)
        return _applied(tokenizer, template, given, opens_answer, continue_final_message)
    except (TemplateError, ValueError, KeyError, AssertionError, NotImplementedError) as error:
        # Templates refuse orders of roles with an exception of their own words.
        raise RequestError(
            f"the model's chat template does not take these messages: {error}", param="messages"
        ) from error


def _applied(
    tokenizer: Any,
    template: Any,
    messages: list[dict[str, Any]],
    opens_answer: bool,
    continues: bool,
) -> list[int]:
    """By `apply_chat_template`, which releases and tokenizers have with other keywords."""
    if getattr(tokenizer, "chat_template", None) is None:
        tokenizer.chat_template = template
    known = inspect.signature(tokenizer.apply_chat_template).parameters
    options: dict[str, Any] = {"tokenize": True, "add_generation_prompt": opens_answer}
    if "return_dict" in known:
        options["return_dict"] = False
    if continues:
        if "continue_final_message" not in known:
            raise _no_continuing()
        options["continue_final_message"] = True
    ids = tokenizer.apply_chat_template(messages, **options)
    if len(ids) and isinstance(ids[0], list):
        ids = ids[0]
    return [int(each) for each in ids]


def _rendered(
    tokenizer: Any, template: Any, messages: list[dict[str, Any]], opens_answer: bool
) -> list[int]:
    """As releases since 4.34 render it, for those before."""
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    def to_json(value: Any, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=False, **options)

    if isinstance(template, Mapping):
        template = template.get("default") or next(iter(template.values()))
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = to_json
    text = environment.from_string(template).render(
        messages=messages, add_generation_prompt=opens_answer, **tokenizer.special_tokens_map
    )
    encoding = tokenizer(text, add_special_tokens=False)
    return [int(each) for each in encoding["input_ids"]]


def _no_continuing() -> RequestError:
    return RequestError(
        "this model's tokenizer writes questions, it does not continue an answer",
        param="continue_final_message",
    )
