import os
import pickle
from pathlib import Path
from typing import Any

import torch

from tests.checkpoint.directories import read, safetensors
from trueup.checkpoint.checkpoint import Checkpoint


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def model(directory: Path, **files: bytes) -> Checkpoint:
    more = {name.replace("__", "/", 1) + ".pkl": content for name, content in files.items()}
    return read(
        directory,
        {"config.json": {"model_type": "llama"}, "model.safetensors": safetensors("a"), **more},
    )


def loose(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [
        (problem.path, problem.detail)
        for problem in checkpoint.problems
        if problem.kind == "loose_pickle"
    ]


def test_a_pickle_that_starts_programs_is_found_wherever_it_lies(tmp_path: Path) -> None:
    evil = pickle.dumps(Runs())
    found = loose(model(tmp_path, vocab=evil, below__cache=evil))
    assert [path for path, _ in found] == ["below/cache.pkl", "vocab.pkl"]
    assert "`posix.system` (starts programs" in found[0][1]


def test_what_training_leaves_behind_is_no_problem(tmp_path: Path) -> None:
    honest = pickle.dumps({"path": tmp_path, "kind": Path, "error": ValueError("x"), "n": 1 << 80})
    torch.save({"state": {0: torch.zeros(2)}, "groups": [{"lr": 0.1}]}, tmp_path / "optimizer.pt")
    assert loose(model(tmp_path, settings=honest, text=b"hello", empty=b"")) == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waiting.pkl")
    assert loose(model(tmp_path)) == []
