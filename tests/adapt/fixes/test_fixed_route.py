"""When the fixed route is taken, and what is written of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch

from tests.adapt.facts import MODERN, ROOMY, glm_checkpoint
from tests.adapt.own_model import MODELING, small_tensors, write_small
from tests.checkpoints.chatglm_v1 import build_chatglm_v1
from tests.checkpoints.llama_kinds import build_llama_kind
from tests.homes import home_at
from trueup.adapt.fixes import trial
from trueup.adapt.load import load_plan
from trueup.adapt.planning import make_plan, plan_model
from trueup.adapt.wishes import Wishes
from trueup.cli.main import main
from trueup.doctor.finding import Finding
from trueup.errors import AdaptError

IS_FIVE = metadata.version("transformers") >= "5"
FIXED = Wishes(route="fixed", dtype="float32", device="cpu")


def broken(code: str, cause: str) -> Finding:
    return Finding(code=code, severity="error", stage="init", cause=cause, blocks=("fixed",))


def test_a_model_without_a_class_of_the_library_takes_the_fixed_route(tmp_path: Path) -> None:
    plan = plan_model(str(build_chatglm_v1(tmp_path / "m")), Wishes(dtype="float32"))
    assert (plan.route, plan.family, plan.consent) == ("fixed", "chatglm", "needed")
    assert plan.context_tokens == 512
    assert {"flat-mask@1", "vocabulary-first@1", "extract-past@1"} <= set(plan.fixes)
    assert {"TOK101", "GEN104", "GEN101"} <= set(plan.findings)
    assert ("LOAD102" in plan.findings) == IS_FIVE
    assert any("two-dimensional rope" in reason for reason in plan.why)


def test_the_fixed_route_is_closed_by_what_no_fix_answers(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    answered = broken("TOK104", "`_pad` has no parameter `padding_side`")
    plan = make_plan(checkpoint, MODERN, ROOMY, (answered,), FIXED)
    assert plan.route == "fixed"
    assert plan.findings == ("TOK104",)
    unknown = broken("CODE101", "`Rotary.forward` fails: no such thing")
    refused = make_plan(checkpoint, MODERN, ROOMY, (answered, unknown), FIXED)
    assert refused.route == "refused"
    assert "no fix answers CODE101" in refused.why[0]
    assert "its author's to say" in refused.why[0]
    assert refused.why[-1].startswith("the routes that are left: `native`")
    assert refused.fixes == ()


def test_what_a_failing_import_hid_closes_the_route_too(tmp_path: Path) -> None:
    directory = build_llama_kind("baichuan2-13b", tmp_path / "m")
    path = directory / "modeling_baichuan.py"
    text = path.read_text(encoding="utf-8")
    head, name, rest = text.partition("class BaichuanForCausalLM")
    late = "\n\ndef stream(text):\n    import transformers_stream_generator\n\n    return text\n"
    forward = "        self.get_extended_attention_mask(attention_mask, (1, 2))\n"
    before, body, after = rest.partition("        outputs = self.model(")
    assert body
    path.write_text(head + name + before + forward + body + after + late)
    plan = plan_model(str(directory), FIXED)
    # Before release 5 the base class takes such a shape.
    assert plan.route == ("refused" if IS_FIVE else "fixed")
    assert ("with its fixes still LOAD108" in " ".join(plan.why)) == IS_FIVE
    path.write_text(text + late)
    mended = plan_model(str(directory), FIXED)
    assert mended.route == "fixed"
    assert "late-imports@1" in mended.fixes


def test_a_place_that_a_fix_did_not_reach_closes_the_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    found = [
        broken("TOK104", "`_pad` has no parameter `padding_side`"),
        broken("CACHE103", "`Attention.forward` indexes its cache"),
        broken("GEN102", "`_published_stream_generate` calls `_get_stopping_criteria` itself"),
    ]
    # As if the doctor found them in the repaired code too.
    monkeypatch.setattr(trial, "examine", lambda *_: tuple(found))
    plan = make_plan(checkpoint, MODERN, ROOMY, tuple(found), FIXED)
    assert plan.route == "refused"
    still = [why for why in plan.why if "with its fixes still" in why]
    # Of the two others no text tells that they are mended.
    assert len(still) == 1
    assert "TOK104" in still[0]
    del found[0]
    assert make_plan(checkpoint, MODERN, ROOMY, tuple(found), FIXED).route == "fixed"


def test_own_code_is_not_loaded_without_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))
    plan = plan_model(str(build_chatglm_v1(tmp_path / "m")), FIXED)
    with pytest.raises(AdaptError, match="only with your consent"):
        load_plan(plan)


def test_an_export_is_the_code_its_diff_and_its_hashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, code = build_chatglm_v1(tmp_path / "m"), tmp_path / "code"
    asked = ["plan", str(model), "--format", "json", "--export-fixed", str(code)]
    assert main(asked) == 0
    report = json.loads(capsys.readouterr().out)
    manifest = json.loads((code / "manifest.json").read_text(encoding="utf-8"))
    assert report["export"]["files"] == manifest["files"]
    assert [each["name"] for each in manifest["fixes"]] == report["plan"]["fixes"]
    for file in manifest["files"]:
        for folder, key in ((model, "source_sha256"), (code, "written_sha256")):
            found = hashlib.sha256((folder / file["path"]).read_bytes()).hexdigest()
            assert found == file[key]
    subprocess.run(
        ["patch", "-p1", "--silent", "-d", str(model), "-i", str(code / "fixes.diff")], check=True
    )
    for path in code.glob("*.py"):
        assert (model / path.name).read_bytes() == path.read_bytes()


def test_an_exported_model_that_reads_tensors_as_it_is_built_has_its_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    last = "self.post_init()"
    modeling = MODELING.replace(last, f"self.one = torch.ones(2)[1].item()\n        {last}")
    tensors = {**small_tensors(), "scale": torch.full((1,), 3.0)}
    model, code = write_small(tmp_path / "m", tensors, modeling_small=modeling), tmp_path / "code"
    assert main(["plan", str(model), "--route", "fixed", "--export-fixed", str(code)]) == 0
    assert ("cpu-construction@1 (LOAD106)" in capsys.readouterr().out) == IS_FIVE
    for path in code.glob("*.py"):
        shutil.copyfile(path, model / path.name)
    loaded = AutoModelForCausalLM.from_pretrained(model, trust_remote_code=True)
    assert loaded.one == 1.0
    assert torch.equal(loaded.table, 1 / 10 ** (torch.arange(16) / 16))
    for name, tensor in tensors.items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_an_export_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, code = build_chatglm_v1(tmp_path / "m"), tmp_path / "code"
    code.mkdir()
    (code / "mine.txt").write_text("kept")
    assert main(["plan", str(model), "--export-fixed", str(code)]) == 1
    assert "new or empty" in capsys.readouterr().err
    assert [path.name for path in code.iterdir()] == ["mine.txt"]


def test_the_plan_says_what_each_fix_does_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_chatglm_v1(tmp_path / "m")
    assert main(["plan", str(model)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "vocabulary-first@1 (TOK101): the tokenizer sets its vocabulary before" in shown
    assert "consent: needed, because the model's own code runs: trueup trust" in shown
