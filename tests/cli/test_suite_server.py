"""`trueup suite` with a private server and real models, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints.encoders import build_encoder
from trueup.cli import suite_server
from trueup.cli.suite_server import NoService, PrivateService, own_names, private_service
from trueup.config.document import parsed_document
from trueup.errors import AdaptError, TrueUpError

DEMO = Path(suite_server.__file__).parents[1] / "demo_checkpoint"
LIMIT_SECONDS = 280.0
CONFIG = """
config_version: 1
models:
  good: {source: demo, dtype: float32}
  broken: {source: ./broken}
  bert: {source: ./bert}
  lost: {source: ./lost, kind: chat}
backends:
  far: {url: "http://127.0.0.1:9/v1", api_key: "${env.FAR_KEY}"}
roles:
  talk:
    chain: [broken, good]
    acceptance: {languages: [zh], prompts: [prompts.yaml], first_token_seconds: 30}
"""
PROMPTS = """
prompts:
  - {id: right, prompt: 你好, contains: 你好}
  - {id: wrong, prompt: 你好, contains: nothing like this}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DEMO, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"")
    build_encoder("roberta", tmp_path / "bert")
    shutil.copytree(DEMO, tmp_path / "lost")
    # What only loading meets: the file is whole, and one of its pieces is no text.
    vocabulary = (tmp_path / "lost" / "tokenizer.model").read_bytes()
    odd = vocabulary.replace(b"<unk>", b"\xff\xfe\xfd\xfc\xfb", 1)
    (tmp_path / "lost" / "tokenizer.model").write_bytes(odd)
    (tmp_path / "trueup.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "prompts.yaml").write_text(PROMPTS, encoding="utf-8")
    return tmp_path


def started(folder: Path, *words: str, is_in_background: bool = False) -> subprocess.Popen[str]:
    """`trueup suite`; a shell's script has what it puts in the background ignore interrupts."""
    environment = {
        **os.environ, "TRUEUP_HOME": str(folder / "home"), "FAR_KEY": "k", "COLUMNS": "200",
    }  # fmt: skip
    command = [sys.executable, "-m", "trueup", "suite", *words]
    return subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command] if is_in_background else command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def states(report: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in report["cases"]}


@pytest.mark.slow
def test_a_whole_system_is_tested_and_one_broken_model_ends_nothing(folder: Path) -> None:
    words = ["--config", "trueup.yaml", "--format", "json", "--compare", "good", "far"]
    process = started(folder, *words, "--skip", "similarity")
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, err
    report = json.loads(out)
    good = ("answer-zh", "begin-zh", "language-zh", "prompts/right")
    assert states(report) == {
        "good/check": "passed", "good/load": "passed", "good/memory": "passed",
        **{f"talk/good/{key}": "passed" for key in good},
        "talk/good/prompts/wrong": "failed", "good/memory-steady": "passed",
        "broken/check": "failed", "broken/load": "skipped", "broken/memory": "skipped",
        **{f"talk/broken/{key}": "skipped" for key in (*good, "prompts/wrong")},
        "broken/memory-steady": "skipped",
        "bert/check": "passed", "bert/load": "passed", "bert/memory": "passed",
        "bert/embedding": "passed", "bert/stable": "passed", "bert/memory-steady": "passed",
        "lost/check": "passed", "lost/load": "failed", "lost/memory": "skipped",
        "lost/answer-zh": "skipped", "lost/language-zh": "skipped", "lost/answer-en": "skipped",
        "lost/language-en": "skipped", "lost/memory-steady": "skipped",
        "far/reach": "failed", "far/answer-zh": "skipped", "far/language-zh": "skipped",
        "far/answer-en": "skipped", "far/language-en": "skipped",
        "talk/answers": "passed", "good~far/compare": "skipped",
    }  # fmt: skip
    by_id = {each["id"]: each for each in report["cases"]}
    assert by_id["talk/good/prompts/wrong"]["where"]["line"] == 4
    assert by_id["talk/broken/answer-zh"]["needed"] == "broken/check"
    assert by_id["far/reach"]["cause"].startswith(
        "`far` at http://127.0.0.1:9/v1 cannot be reached"
    )
    assert "passes this: `chain: [good, broken]`" in by_id["broken/check"]["instead"]
    assert by_id["lost/load"]["where"]["text"] == str(folder / "lost")
    assert "is not a complete sentencepiece model" in by_id["lost/load"]["cause"]
    (host,) = by_id["good/memory"]["figures"]
    assert host["value"] > 10**6


@pytest.mark.slow
@pytest.mark.parametrize("is_in_background", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_writes_its_report_and_ends_its_server(
    folder: Path, number: signal.Signals, is_in_background: bool
) -> None:
    words = ["--config", "trueup.yaml", "--format", "json", "--report", "part.md"]
    process = started(folder, *words, is_in_background=is_in_background)
    server = child_of(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130, err
    report = json.loads(out)
    assert report["is_interrupted"]
    assert states(report)["good/check"] == "passed"
    assert states(report)["talk/answers"] == "not_run"
    assert report["cases"][-1]["because"] == "the run was interrupted"
    assert "Interrupted" in (folder / "part.md").read_text(encoding="utf-8")
    assert not Path(f"/proc/{server}").exists()


def child_of(process: subprocess.Popen[str]) -> int:
    """The number of the private server, as soon as there is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for number in children.read_text().split():
            if b"serve" in Path(f"/proc/{number}/cmdline").read_bytes():
                return int(number)
    raise AssertionError(process.communicate())


@pytest.mark.slow
async def test_a_server_that_was_ended_is_started_anew_by_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    served = {"models": {"demo": {"source": "demo"}}, "roles": {}}
    async with private_service(served) as service:
        first = await service.client()
        assert [each["id"] for each in await first.models()] == ["demo"]
        assert service._server is not None
        service._server.process.kill()
        await service._server.ended()
        second = await service.client()
        assert second.url != first.url
        assert [each["id"] for each in await second.models()] == ["demo"]
        assert await service.memory("demo") is None  # not loaded
        ended = service._server.process
    assert ended.returncode is not None


@pytest.mark.slow
async def test_a_server_that_does_not_start_answers_every_question_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    async with private_service({"models": {"x": {"source": "demo", "dtype": "odd"}}}) as service:
        for _ in range(2):
            with pytest.raises(TrueUpError, match="the private server did not start"):
                await service.embed("x", ["a"])
    assert "`dtype` is `odd`" in capfd.readouterr().err


async def test_a_model_that_is_not_to_be_had_is_the_answer_to_every_question(
    tmp_path: Path,
) -> None:
    async with private_service({"models": {"x": {"source": str(tmp_path / "none")}}}) as service:
        for _ in range(2):
            with pytest.raises(TrueUpError, match="does not exist"):
                await service.embed("x", ["a"])


def test_a_role_is_our_own_where_nobody_else_is_in_its_chain() -> None:
    roles = {"mine": {"chain": ["a", "b"]}, "mixed": {"chain": ["a", "far"]}}
    assert own_names(["a", "b"], roles) == {"a", "b", "mine"}


async def test_where_nothing_can_run_every_question_says_so() -> None:
    service = NoService()
    asked: Sequence[Any] = (
        service.answer("m", [], max_tokens=1),
        service.complete("m", "", max_tokens=1),
        service.embed("m", []),
    )
    for each in asked:
        with pytest.raises(AdaptError, match="nothing that can run is left to answer for `m`"):
            await each
    assert await service.memory("m") is None


def test_the_servers_configuration_is_of_this_user_alone(tmp_path: Path) -> None:
    async def written() -> tuple[int, str]:
        async with contextlib.AsyncExitStack() as stack:
            service = PrivateService(
                {"models": {"m": {"source": "你 \x7f: #"}}, "roles": {}}, stack
            )
            path = service._written()
            assert service._written() == path
            return path.parent.stat().st_mode & 0o777, path.read_text(encoding="utf-8")

    mode, text = asyncio.run(written())
    assert mode == 0o700
    assert parsed_document(tmp_path, text.encode()).tree["models"]["m"]["source"] == "你 \x7f: #"
