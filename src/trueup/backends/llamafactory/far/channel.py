"""The model process' ends of its pipes: out of the way of whatever prints, and of its parent's end.

Libraries print to stdout, also from C. So the pipe is kept under another number, and stdout becomes
stderr, which is the log.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from .lines import Message, line_of, message_of

SET_PARENT_DEATH_SIGNAL = 1  # sys/prctl.h: PR_SET_PDEATHSIG


class Channel:
    """Messages from the keeper and to it; `requests` are what is to be answered, in order."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        self.requests: queue.Queue[Message] = queue.Queue()
        self.cancelled: set[str] = set()
        self.is_listening = False

    @classmethod
    def taken(cls) -> Channel:
        """The pipes of this process, taken from stdin and stdout."""
        incoming, outgoing = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        os.close(null)
        sys.stdout = sys.stderr
        end_with_parent()
        return cls(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb", buffering=0))

    def first(self) -> Message:
        """The first message, which says what to load; nothing else comes before it is loaded."""
        spec = message_of(self._incoming.readline())
        if spec is None:
            os._exit(0)
        return spec

    def listen(self) -> None:
        """Have a thread read from now on."""
        self.is_listening = True
        threading.Thread(target=self._read, daemon=True).start()

    def files(self) -> tuple[int, int]:
        """The numbers of both pipes."""
        return self._incoming.fileno(), self._outgoing.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the keeper."""
        line = line_of(message)
        with self._lock:
            while line:  # a raw pipe may take a part
                line = line[self._outgoing.write(line) or 0 :]

    def _read(self) -> None:
        for line in self._incoming:
            message = message_of(line)
            if message is None:
                continue
            if message.get("op") == "cancel":
                self.cancelled.add(str(message["id"]))
            else:
                self.requests.put(message)
        os._exit(0)  # the keeper is gone: nobody would take another word


def end_with_parent() -> None:
    """Have the system end this process with the keeper, whatever it is doing then."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
