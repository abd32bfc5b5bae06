"""Carries lines between an SSH command's stdin and stdout and the keeper's socket; no more."""

from __future__ import annotations

import os
import selectors
import socket
import sys

from .directory import NO_WORKER, connected

PIECE_BYTES = 2**16


def relay(directory: str) -> int:
    """Carry until one end closes; NO_WORKER where nobody listens there."""
    try:
        keeper = connected(directory)
    except OSError as error:
        sys.stderr.write(f"no worker listens in {directory}: {error}\n")
        return NO_WORKER
    with keeper, selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(keeper, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if not _carried(key.fd == 0, keeper):
                    return 0


def _carried(is_inward: bool, keeper: socket.socket) -> bool:
    """Carry a piece; False where its end has come."""
    try:
        if is_inward:
            piece = os.read(0, PIECE_BYTES)
            keeper.sendall(piece)
        else:
            piece = keeper.recv(PIECE_BYTES)
            _write(piece)
    except OSError:
        return False
    return bool(piece)


def _write(piece: bytes) -> None:
    while piece:
        piece = piece[os.write(1, piece) :]
