from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trueup.cli.main import main
from trueup.config.dotenv import convert_dotenv, is_dotenv
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.config.load import load_config
from trueup.errors import ConfigError

WHOLE = """\ufeff# the chat
export SSH_HOST=gpu.example   # where it runs
SSH_PORT=2222
SSH_USERNAME="me"
SSH_PRIVATE_KEY_PATH='~/.ssh/id_ed25519'
SSH_PASSWORD=top-secret
CHAT_MODE=script
CHAT_SCRIPT_PATH=scripts/chat.py
REMOTE_WORK_DIR=/home/me/LLaMA Factory
CONDA_ENV=
LLAMAFACTORY_CLI_PATH=
CHAT_TIMEOUT=300
WANDB_API_KEY=another-secret
"""


def settings(tmp_path: Path, text: str, **environ: str) -> tuple[LlamaFactorySettings, str, Any]:
    converted = convert_dotenv(text.encode(), ".env")
    path = tmp_path / "trueup.yaml"
    path.write_text(converted.text)
    (backend,) = load_config(path, environ).backends
    assert isinstance(backend, LlamaFactorySettings)
    return backend, converted.text, converted.notes


def test_each_name_becomes_its_key(tmp_path: Path) -> None:
    found, text, notes = settings(tmp_path, WHOLE.replace("\n", "\r\n"))
    assert (found.mode, found.script_path) == ("script", "scripts/chat.py")
    assert (found.work_dir, found.conda_env, found.cli_path) == (
        "/home/me/LLaMA Factory",
        None,
        None,
    )
    assert (found.limits.total_seconds, found.limits.first_token_seconds) == (300, 300)
    assert found.ssh is not None
    assert (found.ssh.host, found.ssh.port, found.ssh.user) == ("gpu.example", 2222, "me")
    assert (found.ssh.key, found.ssh.password_env) == ("~/.ssh/id_ed25519", "SSH_PASSWORD")
    told = "\n".join(notes)
    assert "secret" not in text + told
    assert ".env:13: `WANDB_API_KEY` has no key here" in told
    assert "export SSH_PASSWORD" in told
    assert "trust-host llamafactory" in told


def test_a_chat_on_this_machine_needs_a_model_alone(tmp_path: Path) -> None:
    text = "CHAT_MODE=CLI\nCHAT_SCRIPT_PATH=chat.py\nCONDA_ENV=lf\nSSH_USER=me\n"
    text += "ADAPTER_PATH=${HOME}/a\n"
    found, _, notes = settings(tmp_path, text, BASE_MODEL_PATH="/m", HOME="/home/me")
    assert (found.mode, found.base_model_path, found.adapter_path) == ("cli", "/m", "/home/me/a")
    assert (found.conda_env, found.script_path, found.ssh) == ("lf", None, None)
    assert [note for note in notes if "`CHAT_SCRIPT_PATH` is left out" in note]
    assert [note for note in notes if "`SSH_USER` is left out" in note]
    assert [note for note in notes if "BASE_MODEL_PATH" in note]


@pytest.mark.parametrize(
    ("text", "where", "told"),
    [
        ("CHAT_MODE=telnet", ".env:1", "`telnet` is no mode"),
        ("\nCHAT_TIMEOUT=soon", ".env:2", "no number"),
        ("CHAT_MODE=cli\nsecret words", ".env:2", "this line is no `NAME=value`"),
        ("PATH=/bin", ".env", "none of these names"),
        ("CHAT_SCRIPT_PATH=a.py\nCHAT_TIMEOUT=-1", ".env:2", "`first_token_seconds` is `-1`"),
        ("CHAT_MODE=\nCONDA_ENV=", ".env", "`CHAT_MODE`, `CONDA_ENV` are blank"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(text: str, where: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        convert_dotenv(text.encode(), ".env")
    assert where in str(caught.value.where)


def test_the_command_tells_both_kinds_of_files_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not is_dotenv(b'{"a": "B=C"}')
    assert not is_dotenv(b"")
    (tmp_path / ".env").write_text(WHOLE)
    target = tmp_path / "trueup.yaml"
    assert main(["config", "import", str(tmp_path / ".env"), "--output", str(target)]) == 0
    assert "is written: 1 backend, `llamafactory`" in capsys.readouterr().err
    assert main(["config", "validate", str(target)]) == 0


def test_names_of_other_programs_hinder_nothing_and_are_told(tmp_path: Path) -> None:
    text = """\
CHAT_SCRIPT_PATH=a.py
SSH_HOST=h
REMOTE_HOST=other
SSH_PORT=70000
REMOTE_PORT=web
INFER_BACKEND=elsewhere
API_BASE_URL=http://127.0.0.1:9
"""
    found, _, notes = settings(tmp_path, text)
    assert (found.script_path, found.url, found.infer_backend) == ("a.py", None, "huggingface")
    assert found.ssh is not None
    assert (found.ssh.host, found.ssh.port) == ("h", None)
    for told in (
        ".env:3: `REMOTE_HOST` is left out: `SSH_HOST` says it",
        ".env:4: `SSH_PORT` is left out: `port` is `70000`",
        ".env:5: `REMOTE_PORT` is left out: `SSH_PORT` says it",
        ".env:6: `INFER_BACKEND` is left out: `infer_backend` is `elsewhere`",
        "`API_BASE_URL` is left out: the mode script asks no URL",
    ):
        assert [note for note in notes if note.startswith(told)], notes


def test_a_key_itself_is_not_copied_and_its_lines_are_one_value(tmp_path: Path) -> None:
    kind = "OPENSSH PRIVATE KEY"
    text = f'SSH_HOST=h\nSSH_PRIVATE_KEY="-----BEGIN {kind}-----\nc2VjcmV0\n-----END {kind}-----"\n'
    found, written, notes = settings(tmp_path, f"{text}CHAT_SCRIPT_PATH=a.py\n")
    assert found.ssh is not None
    assert (found.ssh.key, found.script_path) == (None, "a.py")
    assert "c2VjcmV0" not in written + "".join(notes)
    assert [note for note in notes if note.startswith(".env:2: `SSH_PRIVATE_KEY` is left out")]


def test_a_remote_directory_without_a_host_is_told(tmp_path: Path) -> None:
    found, _, notes = settings(tmp_path, "REMOTE_WORK_DIR=/w\nCHAT_SCRIPT_PATH=a.py\n")
    assert (found.work_dir, found.ssh) == ("/w", None)
    assert [note for note in notes if "add `host: NAME`" in note]
