"""A tokenizer of the model's own code: made, and used as the library uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Bound,
    Const,
    Instance,
    Items,
    OwnClass,
    OwnFunction,
    Table,
    Value,
    of_python,
)
from trueup.doctor.walk.walk import Walk

# Where this is, comparing an error of the constructor with one of protobuf's needs protobuf.
ASKS_PROTOBUF = "transformers.tokenization_utils_base.PROTOBUF_IMPORT_ERROR"


class Tokenizing(Walk):
    """Walks a tokenizer's constructor and its use."""

    def tokenize(self, cls: OwnClass, config: Mapping[str, Any], files: Mapping[str, int]) -> Value:
        """Make one from what its directory holds, encode, pad and decode with it.

        Raises:
            RaisedError: something of it fails.
        """
        keywords = self._arguments(cls, config, files)
        made = self._made(cls, keywords)
        if not isinstance(made, Instance):
            return made
        # Each of the first stands in for the second, which it would call in the library.
        for own, inner in (
            ("tokenize", "_tokenize"),
            ("convert_tokens_to_ids", "_convert_token_to_id"),
        ):
            self._use(made, own if self._has(made, own) else inner, [UNKNOWN])
        self._use(made, "build_inputs_with_special_tokens", [Items("list", None)])
        self._pad(made)
        decodes = [name for name in ("decode", "_decode") if self._has(made, name)]
        for name in decodes[:1] or ["convert_tokens_to_string"]:
            self._use(made, name, [UNKNOWN])
        return made

    def _made(self, cls: OwnClass, keywords: dict[str, Value]) -> Value:
        """The constructor as the library calls it: without protobuf, its `except` fails itself.

        Raises:
            RaisedError: it fails.
        """
        try:
            return self.instantiate(cls, [], keywords)
        except RaisedError as raised:
            hides = self.world.symbols.has(ASKS_PROTOBUF)
            if not hides or "protobuf" in self.world.packages:
                raise
            failure = raised.failure
            message = f"{failure.message}, hidden by `requires the protobuf library`"
            hidden = replace(failure, exception="ImportError", message=message)
            raise RaisedError(hidden) from raised

    def _has(self, made: Instance, name: str) -> bool:
        """Whether the model's own code has a method."""
        found = self.in_class(self.mro(made.cls), name) if isinstance(made.cls, OwnClass) else None
        return found is not None and isinstance(found[1], OwnFunction)

    def _arguments(
        self, cls: OwnClass, config: Mapping[str, Any], files: Mapping[str, int]
    ) -> dict[str, Value]:
        given = of_python(dict(config))
        keywords: dict[str, Value] = dict(given.entries) if isinstance(given, Table) else {}
        for name in ("auto_map", "tokenizer_class", "tokenizer_type"):
            keywords.pop(name, None)
        for name, value in list(keywords.items()):
            if isinstance(value, Table) and "content" in value.entries:
                keywords[name] = value.entries["content"]
        named = self.in_class(self.mro(cls), "vocab_files_names")
        if named is not None and isinstance(named[1], Table):
            for key, file in named[1].entries.items():
                is_there = isinstance(file, Const) and file.value in files
                keywords[key] = UNKNOWN if is_there else NONE
        keywords["name_or_path"] = UNKNOWN
        return keywords

    def _use(self, made: Instance, name: str, arguments: list[Value]) -> None:
        """Call a method where the model's own code has it."""
        found = self.in_class(self.mro(made.cls), name) if isinstance(made.cls, OwnClass) else None
        if found is not None and isinstance(found[1], OwnFunction):
            self.call(Bound(found[1], made), list(arguments), {}, is_open=True)

    def _pad(self, made: Instance) -> None:
        """The library's `pad` calls `_pad` with the keywords of its version."""
        if not isinstance(made.cls, OwnClass):
            return
        own = self.in_class(self.mro(made.cls), "_pad")
        if own is None or not isinstance(own[1], OwnFunction):
            return
        for owner in self.world.symbols.mro("transformers.PreTrainedTokenizerBase"):
            pad = owner.methods.get("pad")
            if pad is None:
                continue
            calls = [each for each in pad.self_calls if each.name == "_pad"]
            if calls:
                keywords: dict[str, Value] = dict.fromkeys(calls[0].keywords, UNKNOWN)
                self.call(Bound(own[1], made), [UNKNOWN] * calls[0].positional, keywords)
            return
