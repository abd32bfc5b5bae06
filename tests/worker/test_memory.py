from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from trueup.worker.memory import device_bytes, private_bytes


def torch_with(is_initialized: bool, *reserved: int) -> SimpleNamespace:
    cuda = SimpleNamespace(
        is_initialized=lambda: is_initialized,
        device_count=lambda: len(reserved),
        memory_reserved=lambda index: reserved[index],
    )
    return SimpleNamespace(cuda=cuda)


def test_a_process_has_private_memory() -> None:
    assert (private_bytes() or 0) > 10**6
    assert private_bytes("no such process") is None


def test_what_is_held_of_all_gpus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_with(True, 5, 7))
    assert device_bytes() == 12


def test_nothing_is_told_of_gpus_that_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_with(False, 5))
    assert device_bytes() is None
    monkeypatch.delitem(sys.modules, "torch")
    assert device_bytes() is None
