"""Models on the fixed route against what their unchanged code answered on transformers 4.30.2.

The recorded answers were written by `record.py`, which imports nothing of ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.adapt.fixes.record import TEXTS, TOKENS
from tests.checkpoints.build import build_checkpoint
from tests.checkpoints.chatglm_v1 import build_chatglm_v1
from tests.checkpoints.llama_kinds import build_llama_kind
from trueup.adapt.load import Loaded, load_plan
from trueup.adapt.plan import Plan
from trueup.adapt.planning import plan_model
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.cli.main import main
from trueup.trust.code import read_code
from trueup.trust.consents import Consents

# InternLM2's code reads `rope_scaling`, of which the library says so.
pytestmark = pytest.mark.filterwarnings("ignore:`rope_scaling` is deprecated:FutureWarning")
GOLDEN = Path(__file__).parent / "golden"
BAR = 1e-4
Build = Callable[[Path], Path]
MODELS: Mapping[str, Build] = {
    "chatglm-6b": build_chatglm_v1,
    "baichuan-7b": lambda directory: build_llama_kind("baichuan-7b", directory),
    "baichuan2-7b": lambda directory: build_llama_kind("baichuan2-7b", directory),
    "baichuan2-13b": lambda directory: build_llama_kind("baichuan2-13b", directory),
    "internlm": lambda directory: build_llama_kind("internlm", directory),
    "internlm2": lambda directory: build_llama_kind("internlm2", directory),
}
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": TOKENS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fixed")


@pytest.fixture(scope="module")
def load(folder: Path) -> Any:
    """Loads a model by name once, on the fixed route in fp32."""
    done: dict[str, Loaded] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEUP_HOME", str(folder / "home"))
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("tempfile.tempdir", None)

        def loaded(name: str) -> Loaded:
            if name not in done:
                done[name] = load_plan(fixed_plan(MODELS[name](folder / name)))
            return done[name]

        yield loaded


def fixed_plan(directory: Path) -> Plan:
    checkpoint = read_checkpoint(resolve(str(directory)))
    Consents().give(read_code(checkpoint), [str(directory)])
    return plan_model(str(directory), Wishes(route="fixed", dtype="float32", device="cpu"))


def encoded(tokenizer: Any, texts: tuple[str, ...]) -> dict[str, torch.Tensor]:
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    made = tokenizer(list(texts), return_tensors="pt", padding=len(texts) > 1)
    tokenizer.padding_side = side
    return {name: made[name] for name in ("input_ids", "attention_mask") if name in made}


class Tokens:
    """A streamer that keeps what it is given after the prompt."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        if value.ndim == 1:
            self.given += value.tolist()

    def end(self) -> None:
        pass


@pytest.mark.parametrize("name", MODELS)
def test_the_repaired_code_answers_as_the_unchanged_code_did(name: str, load: Any) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    made: Loaded = load(name)
    model, one = made.model, encoded(made.tokenizer, TEXTS[:1])
    assert made.plan.route == "fixed"
    assert made.plan.fixes
    assert one["input_ids"].tolist() == golden["ids"].tolist()
    with torch.inference_mode():
        logits = model(input_ids=one["input_ids"]).logits.numpy()
        assert np.abs(logits - golden["logits"]).max() <= BAR
        assert model.generate(**one, **GREEDY).tolist() == golden["greedy"].tolist()
        uncached = model.generate(**one, **GREEDY, use_cache=False)
        assert uncached.tolist() == golden["uncached"].tolist()
        beam = model.generate(**one, **GREEDY, num_beams=3)
        assert beam.tolist() == golden["beam"].tolist()


@pytest.mark.parametrize("name", MODELS)
def test_a_padded_batch_answers_as_it_did(name: str, load: Any) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    made: Loaded = load(name)
    both = encoded(made.tokenizer, TEXTS)
    assert both["input_ids"].tolist() == golden["batch_ids"].tolist()
    with torch.inference_mode():
        answers = made.model.generate(**both, **GREEDY).tolist()
    assert answers == golden["batch"].tolist()


@pytest.mark.parametrize("name", MODELS)
def test_sampled_tokens_are_the_same_with_and_without_a_cache(name: str, load: Any) -> None:
    made: Loaded = load(name)
    one = encoded(made.tokenizer, TEXTS[:1])
    answers = []
    for use_cache in (True, False):
        torch.manual_seed(3)
        with torch.inference_mode():
            answers.append(
                made.model.generate(
                    **one, do_sample=True, top_k=0, max_new_tokens=8, use_cache=use_cache
                ).tolist()
            )
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", MODELS)
def test_a_streamer_gets_each_token(name: str, load: Any) -> None:
    made: Loaded = load(name)
    golden = np.load(GOLDEN / f"{name}.npz")
    one, streamer = encoded(made.tokenizer, TEXTS[:1]), Tokens()
    with torch.inference_mode():
        made.model.generate(**one, **GREEDY, streamer=streamer)
    assert streamer.given == golden["greedy"][0, one["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("family", ["chatglm2", "glm4"])
def test_glm_by_its_own_code_equals_its_native_route(family: Any, load: Any, folder: Path) -> None:
    directory = build_checkpoint(family, folder / family)
    own = load_plan(fixed_plan(directory))
    native = load_plan(plan_model(str(directory), Wishes(dtype="float32", device="cpu")))
    one = encoded(own.tokenizer, TEXTS[:1])
    with torch.inference_mode():
        ours, theirs = own.model(**one).logits, native.model(**one).logits
        assert (ours - theirs).abs().max() <= BAR
        answer = own.model.generate(**one, **GREEDY).tolist()
        assert answer == native.model.generate(**one, **GREEDY).tolist()
        streamed = list(own.model.stream_generate(one["input_ids"], **GREEDY))
    assert streamed[-1].tolist() == answer


@pytest.mark.parametrize("name", ["chatglm-6b", "internlm"])
def test_the_exported_copy_loads_with_the_library_alone(
    name: str, load: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    made: Loaded = load(name)
    code, whole = folder / f"{name}-code", folder / f"{name}-whole"
    assert main(["plan", str(folder / name), "--export-fixed", str(code)]) == 0
    capsys.readouterr()
    shutil.copytree(folder / name, whole)
    for path in code.glob("*.py"):
        shutil.copyfile(path, whole / path.name)
    config = AutoConfig.from_pretrained(whole, trust_remote_code=True)
    auto = AutoModelForCausalLM if "AutoModelForCausalLM" in config.auto_map else AutoModel
    model = auto.from_pretrained(whole, trust_remote_code=True).float().eval()
    one = encoded(made.tokenizer, TEXTS[:1])
    with torch.inference_mode():
        difference = model(input_ids=one["input_ids"]).logits - made.model(**one).logits
        assert difference.abs().max() <= BAR
        answer = model.generate(**one, **GREEDY).tolist()
    assert answer == np.load(GOLDEN / f"{name}.npz")["greedy"].tolist()
