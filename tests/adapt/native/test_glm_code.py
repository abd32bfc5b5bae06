from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapt.facts import glm_checkpoint, plain_checkpoint
from trueup.adapt.native.glm_code import RopeCode, read_rope, tokenizer_family
from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule

PLAIN = """
class RotaryEmbedding(nn.Module):
    def forward_impl(self, seq_len, n_elem, dtype, device, base: int = 10000):
        {first}
        theta = 1.0 / (base ** (torch.arange(0, n_elem, 2, dtype={dtype}) / n_elem))
        seq_idx = torch.arange(seq_len, dtype={dtype}){last}
        return torch.outer(seq_idx, theta)
"""


def with_code(source: str, path: str = "modeling_chatglm.py") -> Checkpoint:
    module = RemoteModule(path=path, source=source, sha256="", tree=ast.parse(source))
    return replace(plain_checkpoint(model_type="chatglm"), remote_code={path: module})


@pytest.mark.parametrize(
    ("first", "last", "dtype", "expected"),
    [
        ("pass", "", "dtype", RopeCode(base=10000, ratio="unused", is_float32=False)),
        ("pass", "", "torch.float", RopeCode(base=10000, ratio="unused", is_float32=True)),
        ("pass", "", "torch.float32", RopeCode(base=10000, ratio="unused", is_float32=True)),
        ("pass", "", "torch.half", RopeCode(base=10000, ratio="unused", is_float32=None)),
        (
            "base = base * self.rope_ratio",
            "",
            "torch.float",
            RopeCode(base=10000, ratio="multiplies base", is_float32=True),
        ),
        (
            "base = self.rope_ratio * base",
            "",
            "dtype",
            RopeCode(base=10000, ratio="multiplies base", is_float32=False),
        ),
        (
            "base *= self.rope_ratio",
            "",
            "dtype",
            RopeCode(base=10000, ratio="multiplies base", is_float32=False),
        ),
        (
            "pass",
            " / self.rope_ratio",
            "dtype",
            RopeCode(base=10000, ratio="divides positions", is_float32=False),
        ),
        (
            "base = base * self.rope_ratio",
            " / self.rope_ratio",
            "dtype",
            RopeCode(base=10000, ratio=None, is_float32=False),
        ),
        (
            "base = base ** self.rope_ratio",
            "",
            "dtype",
            RopeCode(base=10000, ratio=None, is_float32=False),
        ),
        (
            "base = n_elem * self.rope_ratio",
            "",
            "dtype",
            RopeCode(base=10000, ratio=None, is_float32=False),
        ),
    ],
)
def test_the_rope_is_read_from_what_the_code_computes(
    first: str, last: str, dtype: str, expected: RopeCode
) -> None:
    source = PLAIN.format(first=first, last=last, dtype=dtype)
    assert read_rope(with_code(source)) == expected


@pytest.mark.parametrize(
    "source",
    ["x = 1", "class RotaryEmbedding:\n    def forward(self):\n        pass"],
)
def test_code_that_is_not_understood_stays_unknown(source: str) -> None:
    assert read_rope(with_code(source)) == RopeCode()


def test_a_tokenizer_without_a_known_vocabulary_is_of_no_family(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    assert tokenizer_family(checkpoint) == "chatglm2"
    path = "tokenization_chatglm.py"
    module = RemoteModule(path=path, source="", sha256="", tree=ast.parse("import json"))
    strange = {**checkpoint.remote_code, path: module}
    assert tokenizer_family(replace(checkpoint, remote_code=strange)) is None
    assert tokenizer_family(plain_checkpoint(model_type="chatglm")) is None
