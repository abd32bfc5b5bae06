"""Hub ids on the command line: the commit in the report, progress, errors, and how it is ended."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from trueup.cli.downloading import DownloadLine

NAME = "zai-org/demo-glm"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        demo = files("trueup") / "demo_checkpoint"
        server.add(
            NAME, {each.name: each.read_bytes() for each in demo.iterdir() if each.is_file()}
        )
        yield server


def environment(hub: HubServer, home: Path, **more: str) -> dict[str, str]:
    own = ("HF_", "TRANSFORMERS_", "http", "HTTP", "all_proxy", "ALL_PROXY", "TRUEUP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    home_folders = {"HF_HOME": str(home / "hf"), "TRUEUP_HOME": str(home / "trueup")}
    return {**kept, **home_folders, "HF_ENDPOINT": hub.url, **more}


def trueup(
    hub: HubServer, home: Path, *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trueup", *words],
        env=environment(hub, home, **more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_check_of_a_hub_id_reports_its_commit_and_leaves_the_weights_there(
    hub: HubServer, tmp_path: Path
) -> None:
    (commit,) = hub.repositories[NAME].commits
    hub.repositories[NAME].tags["v1"] = commit
    done = trueup(hub, tmp_path, "check", f"{NAME}@v1", "--format", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert report["model"]["id"] == NAME
    assert report["model"]["revision"] == commit
    assert report["plan"]["model"]["revision"] == commit
    assert report["model"]["remote_bytes"] == 3057664
    assert not [path for path in tmp_path.rglob("*") if path.name == "model.safetensors"]
    again = trueup(hub, tmp_path, "check", f"{NAME}@v1", "--format", "json", HF_HUB_OFFLINE="1")
    assert json.loads(again.stdout) == report


def test_asking_a_hub_imports_nothing_heavy(hub: HubServer, tmp_path: Path) -> None:
    code = (
        "import sys; from trueup.cli.main import main; "
        f"main(['check', '{NAME}', '--format', 'json']); "
        "print([m for m in ('torch', 'transformers', 'numpy', 'pydantic') if m in sys.modules], "
        "'huggingface_hub' in sys.modules, file=sys.stderr)"
    )
    for offline, is_imported in (("0", True), ("1", False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(hub, tmp_path, HF_HUB_OFFLINE=offline),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stderr == f"[] {is_imported}\n"


def serving(hub: HubServer, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trueup", "serve", NAME, "--port", "0"],
        env=environment(hub, home),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def test_a_server_downloads_with_lines_on_a_pipe(hub: HubServer, tmp_path: Path) -> None:
    process = serving(hub, tmp_path)
    assert process.stderr is not None
    with process, process.stderr:
        try:
            lines = [process.stderr.readline() for _ in range(4)]
        finally:
            process.terminate()
    assert lines[:3] == [
        f"downloading `{NAME}`: 1 file, 3.1 MB\n",
        f"`{NAME}`: 50 % of 3.1 MB\n",
        f"downloaded `{NAME}`\n",
    ]
    assert lines[3].startswith(f"TrueUp serves `{NAME}` at ")


@pytest.mark.slow
def test_an_export_downloads_the_weights_that_a_plan_leaves(hub: HubServer, tmp_path: Path) -> None:
    done = trueup(hub, tmp_path, "plan", NAME, "--format", "json")
    assert json.loads(done.stdout)["plan"]["route"] == "native"
    assert done.stderr == ""
    assert "its weights, 0.00 GB, are on the hub" in trueup(hub, tmp_path, "check", NAME).stdout
    target = tmp_path / "exported"
    done = trueup(hub, tmp_path, "plan", NAME, "--export-native", str(target))
    assert done.returncode == 0, done.stderr
    assert (target / "model.safetensors").stat().st_size > 10**6


def test_an_id_that_does_not_exist_is_one_error_with_the_nearest(
    hub: HubServer, tmp_path: Path
) -> None:
    for verb in ("check", "plan", "chat"):
        more = ("--message", "x") if verb == "chat" else ()
        done = trueup(hub, tmp_path, verb, "THUDM/demo-glm", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "error: `THUDM/demo-glm` is neither a directory here nor a model at "
            f"{hub.url} that can be seen without a token",
            f"  where: {hub.url}/THUDM/demo-glm",
            f"  hint:  did you mean `{NAME}`?",
        ]


def test_a_server_downloads_and_a_signal_ends_it_meanwhile(hub: HubServer, tmp_path: Path) -> None:
    digest = "/" + _digest(hub)
    hub.fail(digest, times=1)  # the header is let through
    hub.fail(digest, pause_after=1_000_000)
    process = serving(hub, tmp_path)
    assert process.stderr is not None
    with process, process.stderr:
        try:
            assert process.stderr.readline() == f"downloading `{NAME}`: 1 file, 3.1 MB\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
    assert len([path for path in tmp_path.rglob("*.incomplete")]) == 1


def _digest(hub: HubServer) -> str:
    import hashlib

    (contents,) = hub.repositories[NAME].commits.values()
    return hashlib.sha256(contents["model.safetensors"]).hexdigest()


async def test_a_cancelled_command_stops_its_download(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueup.adapt import planning
    from trueup.cli import downloading
    from trueup.errors import HubError

    began, stopped = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_model: str, *, revision: str | None, watch: DownloadLine) -> None:
        loop.call_soon_threadsafe(began.set)
        assert watch.stop.wait(60)
        loop.call_soon_threadsafe(stopped.set)
        raise HubError("stopped", kind="stopped")

    monkeypatch.setattr(planning, "plan_model", slow)
    task = asyncio.create_task(downloading.fetched("org/name"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stopped.wait()


def shown_lines(monkeypatch: pytest.MonkeyPatch, total: int, pieces: list[int]) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    line = DownloadLine()
    line.started("org/name", files=2, total_bytes=total, present_bytes=0)
    for piece in pieces:
        line.advanced(piece)
    line.ended()
    return stream.getvalue().splitlines()


def test_a_large_download_has_a_line_for_each_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown_lines(monkeypatch, 2 * 10**9, [5 * 10**7] * 40)
    assert lines[0] == "downloading `org/name`: 2 files, 2.0 GB"
    assert lines[1:-1] == [f"`org/name`: {tenth}0 % of 2.0 GB" for tenth in range(1, 10)]
    assert lines[-1] == "downloaded `org/name`"


def test_a_download_that_was_given_up_is_not_said_to_be_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown_lines(monkeypatch, 1000, [400]) == ["downloading `org/name`: 2 files, 1.0 kB"]


def test_a_file_that_begins_anew_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown_lines(monkeypatch, 1000, [600, -600, 600, 400])
    assert lines[1:] == ["`org/name`: 50 % of 1.0 kB", "downloaded `org/name`"]


def test_a_terminal_has_one_line_that_moves_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as reader:
        monkeypatch.setattr(sys, "stderr", terminal)
        line = DownloadLine()
        line.started("org/name", files=1, total_bytes=10**9, present_bytes=5 * 10**8)
        line.advanced(10**8)
        line.ended()
        terminal.flush()
        shown = ""
        while not ("left" in shown and shown.endswith("\r\x1b[K")):
            shown += reader.read(4096).decode()
    assert "downloading `org/name`: 1 file, 1.0 GB, 500.0 MB are here from before" in shown
    assert "\r\x1b[Korg/name: 600.0 MB of 1.0 GB, 60 %" in shown
