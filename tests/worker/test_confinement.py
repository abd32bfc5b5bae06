"""What a confined process may not do, tried out in one; each measure where the system has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.fake_engine import fake_plan
from trueup.adapt.plan import EmbeddingPlan
from trueup.worker.process import artifact_folders

SCRIPT = """
import json, os, socket, sys
from pathlib import Path
from trueup.worker.confinement import confine

def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

own, other = Path(sys.argv[1]), Path(sys.argv[2])
held = confine(own)
acts = {
    "write own": lambda: (own / "a").write_text("x"),
    "make own directory": lambda: (own / "deep").mkdir(),
    "bind own": lambda: socket.socket(socket.AF_UNIX).bind(str(own / "s")),
    "read other": lambda: (other / "there").read_text(),
    "write other": lambda: (other / "a").write_text("x"),
    "append other": lambda: (other / "there").open("a").close(),
    "truncate other": lambda: os.truncate(other / "there", 0),
    "remove other": lambda: (other / "there").unlink(),
    "make other directory": lambda: (other / "deep").mkdir(),
    "write null": lambda: Path("/dev/null").write_text("x"),
    "unix pair": lambda: socket.socketpair(),
    "inet": lambda: socket.socket(socket.AF_INET),
    "inet6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
}
found = {name: outcome(act) for name, act in acts.items()}
status = Path("/proc/self/status").read_text()
found["no_new_privs"] = status.split("NoNewPrivs:")[1].split()[0]
print(json.dumps({"held": held, "found": found}))
"""


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Any:
    own, other = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("other")
    (other / "there").write_text("kept")
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, own, other],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(answer.stdout)


def test_what_is_reported_as_held_is_held_and_nothing_else_is_claimed(confined: Any) -> None:
    assert (confined["found"]["no_new_privs"] == "1") == ("no_new_privs" in confined["held"])


def test_a_worker_writes_in_its_own_directory_only(confined: Any) -> None:
    found = confined["found"]
    for act in ("write own", "make own directory", "bind own", "read other", "write null"):
        assert found[act] == "done", act
    refused = "PermissionError" if "landlock" in confined["held"] else "done"
    for act in ("write other", "append other", "truncate other", "remove other"):
        assert found[act] == refused, act


def test_a_worker_has_no_network(confined: Any) -> None:
    found = confined["found"]
    assert found["unix pair"] == "done"
    refused = "PermissionError" if "no_network" in confined["held"] else "done"
    for act in ("inet", "inet6", "netlink"):
        assert found[act] == refused, act


def test_threads_of_a_confined_process_are_confined(tmp_path: Path) -> None:
    script = (
        "import sys, threading\nfrom pathlib import Path\n"
        "from trueup.worker.confinement import confine\n"
        "held = confine(Path(sys.argv[1]))\n"
        "def act():\n"
        "    try: Path(sys.argv[2]).write_text('x')\n"
        "    except PermissionError: print('refused')\n"
        "    else: print('written')\n"
        "thread = threading.Thread(target=act); thread.start(); thread.join()\n"
        "print('landlock' in held)"
    )
    own = tmp_path / "own"
    own.mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", script, own, tmp_path / "other"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert answer.stdout.split() in (["refused", "True"], ["written", "False"])


def test_a_worker_of_embeddings_writes_its_artifact_folder_and_nothing_beside_it(
    tmp_path: Path, short_path: Path
) -> None:
    # What the worker does before it loads, with a load that tries to write.
    script = """
import json, os, sys
from pathlib import Path
from tests.worker.fake_engine import fake_plan
from trueup.adapt.plan import EmbeddingPlan
from trueup.worker.process import run_worker

artifact, socket_path = Path(sys.argv[1]), Path(sys.argv[2])
places = {
    "artifact": artifact, "below": artifact / "deep", "own": socket_path.parent,
    "beside": artifact.parent, "other": artifact.parent / "other", "home": artifact.parent.parent,
}

def load(plan, progress):
    found = {}
    for name, folder in places.items():
        try:
            if name == "below":
                folder.mkdir()
            half = folder / "record.1"
            half.write_text("x")
            half.replace(folder / "record")
            found[name] = "done"
        except OSError as error:
            found[name] = type(error).__name__
    print(json.dumps(found), flush=True)
    os._exit(0)

embedding = EmbeddingPlan(pooling="mean", normalize=True, dimensions=2, artifact=str(artifact))
run_worker(socket_path, fake_plan(kind="embedding", embedding=embedding), load_engine=load)
"""
    embeddings = tmp_path / "home" / "embeddings"
    (embeddings / "other").mkdir(parents=True)
    answer = subprocess.run(
        [sys.executable, "-c", script, embeddings / "0123", short_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout)
    refused = "PermissionError" if "landlock" in confine_held() else "done"
    assert found == {
        **dict.fromkeys(("artifact", "below", "own"), "done"),
        **dict.fromkeys(("beside", "other", "home"), refused),
    }


def test_an_artifact_folder_that_cannot_be_made_does_not_end_the_worker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    artifact = str(tmp_path / "file" / "0123")
    embedding = EmbeddingPlan(pooling="mean", normalize=True, dimensions=2, artifact=artifact)
    assert artifact_folders(fake_plan(kind="embedding", embedding=embedding)) == ()
    assert artifact in capsys.readouterr().err
    assert artifact_folders(fake_plan()) == ()


def confine_held() -> list[str]:
    """What the system grants, tried in a process of its own."""
    script = "import sys\nfrom pathlib import Path\nfrom trueup.worker.confinement import confine\n"
    script += "print(*confine(Path(sys.argv[1])))"
    answer = subprocess.run(
        [sys.executable, "-c", script, "/tmp"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return answer.stdout.split()
