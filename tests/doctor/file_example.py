"""A directory that a rule is about, made for a test and shown in docs/rules.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import tensors_of, write
from tests.doctor.facts import NEWEST

LONGEST = 80
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Tensors:
    """A safetensors file with these tensors."""

    shapes: Shapes
    dtype: str = "F32"

    def content(self) -> bytes:
        return tensors_of(self.shapes, self.dtype)

    def shown(self) -> str:
        sizes = {name: "x".join(map(str, shape)) for name, shape in self.shapes.items()}
        return ", ".join(f"{name} {size}" for name, size in sizes.items())


@dataclass(frozen=True)
class Made:
    """Content that is said in words; it is made where it is needed."""

    words: str
    content: Callable[[], bytes]

    def shown(self) -> str:
        return f"({self.words})"


@dataclass(frozen=True)
class Own:
    """Lines in a file of the model's own that are all that is wrong with it."""

    lines: str = ""

    def content(self) -> bytes:
        start = "from transformers import PretrainedConfig\n"
        end = "class Model(PretrainedConfig):\n    model_type = 'llama'\n"
        return f"{start}{self.lines}\n{end}".encode()

    def shown(self) -> str:
        return "\n".join(
            f"{line[:LONGEST]}…" if len(line) > LONGEST else line for line in self.lines.split("\n")
        )


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str

    def shown(self) -> str:
        return f"-> {self.target}"


LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
WORDS = {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 7}}}
WHOLE: Mapping[str, Any] = {
    "config.json": LLAMA,
    "model.safetensors": Tensors({"model.embed_tokens.weight": (8, 4)}),
    "tokenizer.json": WORDS,
}


@dataclass(frozen=True, kw_only=True)
class FileExample:
    """Files that differ from a whole directory's, None for those that it lacks.

    Each row is a release, None for no transformers, and the codes that are found, by spaces, that
    of the rule among them. `prepared` changes what no file can, and `words` say that.
    """

    code: str
    files: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[tuple[str | None, str], ...] = ()
    whole: Mapping[str, Any] = field(default_factory=lambda: WHOLE)
    packages: Mapping[str, str] = field(default_factory=dict)
    name: str = "x"
    prepared: Callable[[pytest.MonkeyPatch], None] | None = None
    words: str = ""

    @property
    def tried(self) -> tuple[tuple[str | None, str], ...]:
        return self.rows or ((NEWEST, self.code),)

    def write(self, folder: Path) -> Path:
        """The directory below a folder."""
        directory = folder / self.name
        directory.mkdir(parents=True)
        for name, content in {**self.whole, **self.files}.items():
            if isinstance(content, Link):
                (directory / name).symlink_to(content.target)
            elif content is not None:
                made = content.content() if isinstance(content, Tensors | Made | Own) else content
                write(directory, {name: made})
        return directory

    def shown(self) -> str:
        """What matters of it, as text."""
        width = max((len(name) for name in self.files), default=0)
        lines = [self.words] if self.words else []
        for name, content in self.files.items():
            first, *more = _shown(content).rstrip().split("\n")
            if more:
                lines += [f"{name}:", *(f"    {line}".rstrip() for line in (first, *more))]
            else:
                lines.append(f"{name:<{width}}  {first}".rstrip())
        return "\n".join(lines)


def _shown(content: Any) -> str:
    if content is None:
        return "(absent)"
    if isinstance(content, Tensors | Made | Own | Link):
        return content.shown()
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
