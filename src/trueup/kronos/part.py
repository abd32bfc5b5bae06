"""The two models that a forecast takes, as directories and classes know them. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.checkpoint.layouts.kronos import MODEL_ARGUMENTS, TOKENIZER_ARGUMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the two models that a forecast takes.

    `example` is a hub id that users know, for hints.
    """

    class_name: str
    layout: str
    title: str
    arguments: tuple[str, ...]
    example: str


LANGUAGE_MODEL = Part(
    class_name="Kronos",
    layout="kronos",
    title="a Kronos language model",
    arguments=MODEL_ARGUMENTS,
    example="NeoQuasar/Kronos-small",
)
TOKENIZER = Part(
    class_name="KronosTokenizer",
    layout="kronos-tokenizer",
    title="a Kronos tokenizer",
    arguments=TOKENIZER_ARGUMENTS,
    example="NeoQuasar/Kronos-Tokenizer-base",
)
PARTS = (LANGUAGE_MODEL, TOKENIZER)
