from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.accuracy import label, stages
from benchmarks.accuracy.server import in_process

CONFIGURATION = """\
from transformers import PretrainedConfig


class OwnConfig(PretrainedConfig):
    model_type = "own"

    def __init__(self, width=8, vocab_size=32, **kwargs):
        self.width = width
        self.vocab_size = vocab_size
        super().__init__(**kwargs)
"""
MODELING = """\
import torch
from transformers import PreTrainedModel

from .configuration_own import OwnConfig


class OwnForCausalLM(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(config.vocab_size, config.width)
        self.head = torch.nn.Linear(config.width, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **kwargs):
        self.no_such_method()
        return self.head(self.embed(input_ids))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "models" / "own__variant"
    directory.mkdir(parents=True)
    entries = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
    }
    config = {"model_type": "own", "auto_map": entries}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    (directory / "configuration_own.py").write_text(CONFIGURATION, "utf-8")
    (directory / "modeling_own.py").write_text(MODELING, "utf-8")
    return directory


@pytest.mark.slow
def test_stages_are_run_up_to_the_failure_and_labelled_with_the_models_own_frame(
    model: Path, tmp_path: Path
) -> None:
    labels = label.labels([model], [sys.executable], tmp_path / "work")
    row = labels["models"][model.name]
    (found,) = row["environments"].values()
    outcomes = {stage: outcome["outcome"] for stage, outcome in found.items()}
    assert row["has_weights"]
    assert "torch" in next(iter(labels["environments"].values()))["packages"]
    assert outcomes == {
        "import.config": "ok",
        "import.model": "ok",
        "import.tokenizer": "not applicable",
        "config": "ok",
        "tokenizer": "not applicable",
        "init": "ok",
        "load": "ok",
        "forward": "failed",
        "generate.cached": "unscored",
        "generate.uncached": "unscored",
        "save": "ok",
        "silent": "unscored",
    }
    assert found["forward"]["exception"] == "AttributeError"
    assert found["forward"]["frame"] == {
        "file": "modeling_own.py",
        "line": 17,
        "function": "OwnForCausalLM.forward",
    }
    assert sorted(path.name for path in model.iterdir()) == [  # nothing is written to it
        "config.json",
        "configuration_own.py",
        "modeling_own.py",
    ]


def test_what_hangs_is_ended_and_what_dies_is_told(tmp_path: Path) -> None:
    hung = in_process(lambda: os.read(os.pipe()[0], 1), tmp_path, "/none", 0.05)
    died = in_process(lambda: os._exit(3), tmp_path, "/none", 60)
    assert (hung["outcome"], died["outcome"]) == ("timeout", "died")


def test_the_error_that_was_raised_first_is_kept_with_the_one_that_hides_it(
    tmp_path: Path,
) -> None:
    def fail() -> None:
        try:
            raise AttributeError("the cause")
        except AttributeError as error:
            raise ImportError("what is seen") from error

    outcome = in_process(fail, tmp_path, "/none", 60)
    assert (outcome["exception"], outcome["frame"]) == ("ImportError", None)
    assert [link["exception"] for link in outcome["chain"]] == ["AttributeError"]


@pytest.mark.parametrize(
    ("entries", "loader", "generates"),
    [
        ({"AutoModel": "m.A", "AutoModelForCausalLM": "m.B"}, "AutoModelForCausalLM", True),
        ({"AutoModel": "m.OwnForConditionalGeneration"}, "AutoModel", True),
        ({"AutoModel": "m.A", "AutoModelForMaskedLM": "m.B"}, "AutoModelForMaskedLM", False),
        ({"AutoConfig": "m.C", "AutoModelForOther": "m.B"}, "AutoModelForOther", False),
    ],
)
def test_the_entry_that_a_user_would_load_is_run(
    tmp_path: Path, entries: dict[str, str], loader: str, generates: bool
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": entries}), "utf-8")
    assert stages.auto_class(tmp_path) == loader
    assert stages.generates(tmp_path) is generates


def test_variants_share_a_family(model: Path) -> None:
    assert label.family(model) == "own"
    (model / ".family").write_text("shared\n", "utf-8")
    assert label.family(model) == "shared"
