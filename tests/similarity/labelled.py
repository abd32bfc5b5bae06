"""Labelled pairs for tests, and an embedder that needs no model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TokenEmbedder:
    """A signed, hashed bag of tokens; keeps what it was asked to embed."""

    identity = "hashed bag of tokens"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        rows = np.zeros((len(texts), 128), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for token in re.findall(r"\w+|[^\w\s]", text):
                digest = hashlib.sha256(token.encode()).digest()
                row[digest[0] % 128] += 1 if digest[1] % 2 else -1
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths == 0, 1, lengths)


def row(left: str = "a = 1", right: str = "b = 1", label: Any = 1, **others: Any) -> dict[str, Any]:
    return {
        "left": {"language": "python", "code": left},
        "right": {"language": "java", "code": right},
        "label": label,
        **others,
    }


def family(count: int) -> list[dict[str, Any]]:
    """`count` base problems, each with a pair that is alike and one that is not."""
    rows = []
    for i in range(count):
        words = [f"w{i}_{j}" for j in range(8)]
        base = " ".join(words)
        near, far = " ".join([*words[:6], "x", "y"]), " ".join([*words[:1], *"abcdefg"])
        group = f"problem{i}"
        rows.append(row(base, near, 1, id=f"{i}+", kind="renamed", group=group))
        rows.append(row(f"{base} z", f"{far} {i}", 0, id=f"{i}-", kind="near_miss", group=group))
    return rows


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
    return path
