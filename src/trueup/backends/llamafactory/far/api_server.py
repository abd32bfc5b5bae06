"""The mode api: `llamafactory-cli api` as a child, on loopback alone and behind a key."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import threading
import time
from collections import deque

from .channel import Channel, end_with_parent
from .cli_model import TAIL_LINES, copy_log, ended, take_along
from .faults import error_of
from .lines import Message
from .memory import free_bytes
from .paths import find_cli, weights_bytes
from .serving import arguments_of, begin

# Between two looks whether it listens.
PAUSE_SECONDS = 0.1
LOOK_SECONDS = 5.0
LOOK_BYTES = 2**16


def run(channel: Channel, spec: Message) -> int:
    """Start it, tell where it listens, and stay until it or the keeper is gone."""
    try:
        cli = find_cli(spec.get("cli_path"))
        begin(spec, channel, cli=cli)("loading weights")
        port, key = _free_port(), secrets.token_urlsafe(24)
        # Others may take the port before it does: by this name it is known.
        model = f"model-{secrets.token_hex(8)}"
        child = _started(cli, spec, port, key, model)
    except Exception as error:
        channel.send({"event": "state", "state": "failed", "error": error_of(error)})
        return 1
    take_along(child)
    assert child.stdout is not None
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    log = threading.Thread(target=copy_log, args=(child.stdout, tail), daemon=True)
    log.start()
    if listens(child, port, key, model):
        weights = weights_bytes(spec["base_model_path"])
        memory = {"weights_bytes": weights, "free_bytes": free_bytes()}
        facts = {"pid": child.pid, "port": port, "key": key, "model": model, **memory}
        channel.listen()
        channel.send({"event": "state", "state": "ready", "continues": False, **facts})
    return ended(child, log, tail, channel)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _started(cli: str, spec: Message, port: int, key: str, model: str) -> subprocess.Popen[bytes]:
    variables = {
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "API_KEY": key,
        "API_MODEL_NAME": model,
        "API_VERBOSE": "0",  # it would write every conversation to the log
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [cli, "api", *(f"--{name}={value}" for name, value in arguments_of(spec).items())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        preexec_fn=end_with_parent,
    )


def listens(child: subprocess.Popen[bytes], port: int, key: str, model: str) -> bool:
    """Wait until it listens; False where it ended."""
    while child.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if model.encode() in _models(port, key):
                return True
        time.sleep(PAUSE_SECONDS)
    return False


def _models(port: int, key: str) -> bytes:
    """What whoever listens there says of its models."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=LOOK_SECONDS)
    with contextlib.closing(asked):
        asked.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        return asked.getresponse().read(LOOK_BYTES)
