"""A record holds for exactly the bytes that it was made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checkpoints.build import build_checkpoint
from trueup.adapt import proof_record
from trueup.adapt.plan import Plan, Proof
from trueup.adapt.planning import PlannedFacts, plan_with_facts
from trueup.adapt.proof_record import (
    SCHEMA_VERSION,
    check_proof,
    reference_digests,
    subject_of,
    with_proof,
    write_record,
)
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import Source
from trueup.errors import AdaptError


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> PlannedFacts:
    """A plan that is made once: following the model's code takes longer than all else here."""
    directory = build_checkpoint("chatglm2", tmp_path_factory.mktemp("template") / "model")
    return plan_with_facts(str(directory), Wishes(dtype="float32", device="cpu"))


@pytest.fixture
def model(template: PlannedFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlannedFacts:
    """The plan of a copy that a test may change, with a home of its own.

    Its environment has no files: hashing those of the libraries for each test takes long.
    """
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    bare = replace(template, environment=replace(template.environment, folders={}))
    return copied(bare, tmp_path / "model")


def copied(facts: PlannedFacts, directory: Path) -> PlannedFacts:
    shutil.copytree(facts.plan.model.directory, directory)
    model = replace(facts.plan.model, directory=str(directory))
    return looked_at(replace(facts, plan=replace(facts.plan, model=model)))


def looked_at(facts: PlannedFacts) -> PlannedFacts:
    """The facts as they are now on the disk."""
    directory = Path(facts.plan.model.directory)
    source = Source(directory=directory, source=str(directory), revision=None, id="model")
    checkpoint = read_checkpoint(source)
    model = replace(facts.plan.model, digest=checkpoint.digest)
    return replace(facts, checkpoint=checkpoint, plan=replace(facts.plan, model=model))


def proof_of(facts: PlannedFacts) -> Proof:
    now = looked_at(facts)
    return with_proof(now.plan, now.checkpoint, now.environment).proof


def keep(
    facts: PlannedFacts, verdict: str = "proven", reasons: tuple[str, ...] = (), **more: object
) -> Path:
    subject = subject_of(facts.plan, facts.checkpoint, facts.environment)
    model = {"digest": facts.plan.model.digest, "directory": facts.plan.model.directory}
    record = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "reasons": list(reasons),
        "date": "2026-11-27T12:00:00+00:00",
        "model": model,
        "route": facts.plan.route,
        "dtype": facts.plan.dtype,
        "subject": dict(subject.digests),
        **more,
    }
    return write_record(record, subject)


def test_a_plan_without_a_record_is_unproven_and_its_weights_are_not_read(
    model: PlannedFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_record, "weights_digest", lambda _: pytest.fail("read"))

    assert proof_of(model).state == "unproven"


def test_a_plan_shows_the_record_that_holds(model: PlannedFacts) -> None:
    path = keep(model)

    proof = proof_of(model)

    assert (proof.state, proof.record, proof.reason) == ("proven", str(path), None)


def test_a_failed_proof_is_shown_with_its_reason(model: PlannedFacts) -> None:
    keep(model, "failed", ("greedy: logits differ",))

    proof = proof_of(model)

    assert (proof.state, proof.reason) == ("failed", "greedy: logits differ")


def test_a_changed_byte_of_the_reference_s_environment_makes_a_record_void(
    model: PlannedFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "site" / "tokenizers" / "made.py"
    code.parent.mkdir(parents=True)
    code.write_text("A = 1")
    python = tmp_path / "python"
    python.touch()
    there = replace(
        model.environment,
        packages={"tokenizers": "0.19.1"},
        folders={"tokenizers": tmp_path / "site"},
    )
    monkeypatch.setattr(proof_record, "read_environment", lambda _: there)
    reference = {"interpreter": str(python), "environment": reference_digests(python)}
    keep(model, reference=reference)
    before = proof_of(model)

    code.write_text("A = 22")
    after = proof_of(model)
    python.unlink()

    assert before.state == "proven"
    assert (after.state, after.reason) == (
        "unproven",
        "an earlier record is void, because of changes in `files of tokenizers of the reference`",
    )
    assert proof_of(model).state == "proven"


def test_a_record_holds_for_the_same_bytes_in_another_folder(
    model: PlannedFacts, tmp_path: Path
) -> None:
    keep(model)

    assert proof_of(copied(model, tmp_path / "other")).state == "proven"


def test_an_environment_that_is_missing_changed_nothing(model: PlannedFacts) -> None:
    planned = {"is_ours": True, "lock": None, "interpreter": None, "command": "trueup env build m"}
    isolated = replace(model, plan=replace(model.plan, route="isolated", environment=planned))
    keep(isolated)

    proof = proof_of(isolated)

    assert (proof.state, proof.record) == ("unproven", None)
    assert proof.reason == (
        "whether an earlier record holds is not known: the environment is not built"
    )


def flip_weight(model: Path) -> None:
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def append(name: str, text: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        path = model / name
        path.write_bytes(path.read_bytes() + text.encode())

    return change


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit of the weights": (flip_weight, "`weights`"),
    "a byte of the config": (append("config.json", "\n"), "`config.json`"),
    "the tokenizer's settings": (append("tokenizer_config.json", " "), "`tokenizer_config.json`"),
    "the code": (append("modeling_chatglm.py", "#\n"), "`code`"),
    "a new file that is read": (
        lambda model: (model / "generation_config.json").write_text("{}") and None,
        "`generation_config.json`",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_record_is_void_as_soon_as_a_byte_changes(name: str, model: PlannedFacts) -> None:
    change, told = CHANGES[name]
    keep(model)
    change(Path(model.plan.model.directory))

    proof = proof_of(model)

    assert (proof.state, proof.record) == ("unproven", None)
    assert proof.reason is not None
    assert told in proof.reason


def test_a_byte_of_the_vocabulary_voids_a_record(model: PlannedFacts) -> None:
    keep(model)
    append("tokenizer.model", "\0")(Path(model.plan.model.directory))

    assert "`tokenizer.model`" in (proof_of(model).reason or "")


@pytest.mark.parametrize("package", proof_record.LIBRARIES)
def test_another_release_of_a_library_voids_a_record(package: str, model: PlannedFacts) -> None:
    keep(model)
    packages = model.environment.packages
    other = {**packages, package: f"{packages.get(package, '1')}.post1"}

    proof = proof_of(replace(model, environment=replace(model.environment, packages=other)))

    assert proof.state == "unproven"
    assert f"`{package}`" in (proof.reason or "")


def test_another_loader_of_ours_voids_a_record(
    model: PlannedFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(model)
    monkeypatch.setattr(proof_record, "_own_sources", lambda: "sha256:0")

    proof = proof_of(model)

    assert (proof.state, "`trueup`" in (proof.reason or "")) == ("unproven", True)


def test_a_proof_of_one_dtype_says_nothing_of_another(model: PlannedFacts) -> None:
    keep(model)

    proof = proof_of(replace(model, plan=replace(model.plan, dtype="bfloat16")))

    assert (proof.state, proof.reason) == ("unproven", "proven is float32 on the route native")


def test_a_record_that_somebody_changed_is_none(model: PlannedFacts) -> None:
    path = keep(model, "failed", ("logits differ",))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "verdict": "proven", "reasons": []}))

    assert proof_of(model).state == "unproven"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"digest": 1}', "\xff"])
def test_a_damaged_record_is_none(content: str, model: PlannedFacts) -> None:
    keep(model).write_bytes(content.encode("latin-1"))

    proof = proof_of(model)

    assert proof.state == "unproven"
    assert "somebody changed it" in (proof.reason or "")


def test_planning_shows_the_record_and_the_plan_s_json_carries_it(
    model: PlannedFacts, template: PlannedFacts
) -> None:
    path = keep(replace(model, environment=template.environment))

    plan = plan_with_facts(model.plan.model.directory, Wishes(dtype="float32", device="cpu")).plan

    shown = {"state": "proven", "record": str(path), "reason": None, "tried": None}
    assert plan.as_dict()["proof"] == shown
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_a_plan_that_was_proven_is_refused_when_a_byte_changes_before_it_is_loaded(
    model: PlannedFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_record, "read_environment", lambda: model.environment)
    keep(model)
    plan = with_proof(model.plan, model.checkpoint, model.environment)
    check_proof(plan)
    flip_weight(Path(plan.model.directory))

    with pytest.raises(AdaptError, match="no longer holds: an earlier record is void"):
        check_proof(plan)
    check_proof(model.plan)  # nothing was promised of it


def test_a_file_of_the_library_that_somebody_edits_voids_a_record(
    model: PlannedFacts, tmp_path: Path
) -> None:
    packages = tmp_path / "site-packages"
    library = packages / "transformers"
    library.mkdir(parents=True)
    (library / "modeling.py").write_text("one = 1\n")
    folders = {**model.environment.folders, "transformers": packages}
    here = replace(model, environment=replace(model.environment, folders=folders))
    keep(here)
    assert proof_of(here).state == "proven"

    (library / "modeling.py").write_text("one = 2\n")

    assert "`files of transformers`" in (proof_of(here).reason or "")
