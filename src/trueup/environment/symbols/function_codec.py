"""Functions as plain values for a file, and back: a parameter or a step is a short text."""

from __future__ import annotations

from typing import Any

from trueup.environment.symbols.facts import (
    FunctionFacts,
    FunctionKind,
    Parameter,
    ParameterKind,
    Step,
    StepKind,
)

FUNCTION_LETTERS: dict[FunctionKind, str] = {
    "function": "f", "method": "m", "static": "s", "class": "c", "property": "p",
    "cached_property": "k",
}  # fmt: skip
PARAMETER_MARKS: dict[ParameterKind, str] = {
    "double_star": "**", "star": "*", "keyword": ",", "positional_only": "/", "positional": "",
}  # fmt: skip
STEP_MARKS: dict[StepKind, str] = {
    "read": ".", "set": "=", "len": "#", "config": "@", "config_call": "!", "config_set": "$",
    "super_call": "^", "call": "",
}  # fmt: skip
FUNCTION_KINDS = {letter: kind for kind, letter in FUNCTION_LETTERS.items()}
STEP_KINDS = {mark: kind for kind, mark in STEP_MARKS.items() if mark}
# The parameters of a function that takes anything, as they are stored.
ANYTHING = ("*args", "**kwargs")


def encode_function(function: FunctionFacts) -> list[Any]:
    """Kind and flags, parameters, steps, decorators; what is empty at the end is left out."""
    flags = FUNCTION_LETTERS[function.kind]
    flags += ("w" if function.has_setter else "") + ("a" if function.is_abstract else "")
    parts: list[Any] = [
        flags,
        [_encode_parameter(parameter) for parameter in function.parameters],
        " ".join(map(_encode_step, function.steps)),
        " ".join(function.decorators),
    ]
    while not parts[-1]:
        parts.pop()
    return parts


def decode_function(name: str, payload: Any) -> FunctionFacts:
    """The function that `encode_function` made a payload of."""
    flags: str = payload[0]
    parameters: list[str] = payload[1] if len(payload) > 1 else []
    steps: str = payload[2] if len(payload) > 2 else ""
    decorators: str = payload[3] if len(payload) > 3 else ""
    return FunctionFacts(
        name=name,
        parameters=tuple(map(_decode_parameter, parameters)),
        kind=FUNCTION_KINDS[flags[0]],
        has_setter="w" in flags,
        is_abstract="a" in flags[1:],
        decorators=tuple(decorators.split()),
        steps=tuple(map(_decode_step, steps.split())),
    )


def _encode_parameter(parameter: Parameter) -> str:
    default = f"={parameter.default or ''}" if parameter.has_default else ""
    return f"{PARAMETER_MARKS[parameter.kind]}{parameter.name}{default}"


def _decode_parameter(text: str) -> Parameter:
    kind: ParameterKind
    for kind, mark in PARAMETER_MARKS.items():  # noqa: B007 - the longest mark comes first
        if text.startswith(mark):
            break
    name, has_default, default = text[len(mark) :].partition("=")
    return Parameter(name=name, kind=kind, has_default=bool(has_default), default=default or None)


def _encode_step(step: Step) -> str:
    text = "?" * step.is_conditional + ">" * step.is_after_return + "~" * step.is_guarded
    text += STEP_MARKS[step.kind]
    text += f"{step.owner}.{step.name}" if step.owner else step.name
    if step.kind in ("call", "super_call", "config_call"):
        words = [str(step.positional or ""), *step.keywords]
        words += ["*"] * step.has_star + ["**"] * step.has_double_star
        text += "(" + ",".join(words)
    return text


def _decode_step(text: str) -> Step:
    flags = text[: len(text) - len(text.lstrip("?>~"))]
    text = text[len(flags) :]
    kind = STEP_KINDS.get(text[0], "call")
    if kind != "call":
        text = text[1:]
    text, _, words = text.partition("(")
    owner = ""
    if kind in ("config", "config_call", "config_set"):
        owner, _, text = text.rpartition(".")
    positional, *keywords = words.split(",")
    return Step(
        kind=kind,
        name=text,
        owner=owner,
        positional=int(positional or 0),
        keywords=tuple(word for word in keywords if not word.startswith("*")),
        has_star="*" in keywords,
        has_double_star="**" in keywords,
        is_conditional="?" in flags,
        is_after_return=">" in flags,
        is_guarded="~" in flags,
    )
