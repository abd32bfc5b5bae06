"""The mode cli: `llamafactory-cli chat` as a child, for where nothing else works.

A hook in it takes over when it has loaded, see `cli_hook`. Where the hook is not honoured, such as
in a container or behind a wrapper, its terminal conversation is held over pipes: `PlainChat`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import IO

from .channel import Channel, end_with_parent
from .cli_hook import VARIABLE
from .faults import error_of
from .lines import Message
from .paths import find_cli
from .plain_chat import PlainChat, serve_plain
from .serving import arguments_of, begin

# The last line of a traceback.
RAISED = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Exit|Interrupt)): (.*)$")
TAIL_LINES = 40


def run(channel: Channel, spec: Message) -> int:
    """Start it, and answer until it or the keeper is gone."""
    try:
        cli = find_cli(spec.get("cli_path"))
        begin(spec, channel, cli=cli)("loading weights")
        child = _started(cli, spec, channel)
    except Exception as error:
        channel.send({"event": "state", "state": "failed", "error": error_of(error)})
        return 1
    take_along(child)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    log = threading.Thread(target=copy_log, args=(child.stderr, tail), daemon=True)
    log.start()
    chat = PlainChat(child.stdin.fileno(), child.stdout.fileno(), said=tail)
    if chat.begins():
        threading.Thread(target=serve_plain, args=(chat, channel), daemon=True).start()
    return ended(child, log, tail, channel)


def take_along(child: subprocess.Popen[bytes]) -> None:
    """Asked to end, end it first: whoever sees this process gone sees both gone."""

    def end(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)


def ended(
    child: subprocess.Popen[bytes], log: threading.Thread, tail: deque[str], channel: Channel
) -> int:
    """Wait for its end; that before it was loaded is told, where it has not told of it itself."""
    status = child.wait()
    log.join(timeout=1)
    if status < 0:  # told as it is: this process ended so
        os.kill(os.getpid(), -status)
    if not channel.is_listening:
        channel.send({"event": "state", "state": "failed", "error": error_of_end(status, tail)})
    return status


def _started(cli: str, spec: Message, channel: Channel) -> subprocess.Popen[bytes]:
    files = channel.files()
    hook = f"{os.path.abspath(sys.argv[0])}/hook"
    paths = [path for path in (hook, os.environ.get("PYTHONPATH")) if path]
    variables = {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8:replace",
        "PYTHONUNBUFFERED": "1",
        VARIABLE: json.dumps({"spec": spec, "files": files}),
    }
    return subprocess.Popen(
        [cli, "chat", *(f"--{name}={value}" for name, value in arguments_of(spec).items())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=files,
        env={**os.environ, **variables},
        preexec_fn=end_with_parent,
    )


def copy_log(stream: IO[bytes], tail: deque[str]) -> None:
    """What it says goes to the log; the last of it is kept for an error."""
    for line in stream:
        os.write(2, line)
        tail.append(line.decode("utf-8", "replace").rstrip())


def error_of_end(status: int, tail: deque[str]) -> Message:
    """What the last of its log says."""
    for line in reversed(tail):
        if found := RAISED.match(line):
            return {"type": found[1], "message": found[2]}
    return {"type": "WorkerEnded", "status": status, "message": "", "log": "\n".join(tail)}
