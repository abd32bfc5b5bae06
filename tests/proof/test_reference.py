"""Where a reference may run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.checkpoints.llama_kinds import build_llama_kind
from tests.proof.sides import facts_of
from trueup.proof.reference import UnprovenError, choose_reference
from trueup.trust.code import read_code
from trueup.trust.consents import Consents


def test_a_release_in_which_the_code_breaks_is_no_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    facts = facts_of(build_llama_kind("baichuan2-7b", tmp_path / "model"))
    Consents().give(read_code(facts.checkpoint), ["model"])

    with pytest.raises(UnprovenError, match=r"no reference in transformers .*: TOK101: ") as told:
        choose_reference(facts, Path(sys.executable), tmp_path)

    assert "tokenization_baichuan.py:" in str(told.value.where)
    assert "trueup env build MODEL" in str(told.value.hint)
