"""The fork-server with what it imports in truth: forking is safe, whatever else is installed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

# scipy comes with scikit-learn, and each of them with OpenBLAS or OpenMP, which have threads.
SCRIPT = """
import sys
from trueup.worker import forkserver
forkserver.main((*forkserver.MODULES, *sys.argv.pop().split()))
"""
MORE_MODULES = "sklearn scipy.linalg trueup.worker.embedding_turns"
LIMIT_SECONDS = 120.0


def test_nothing_that_is_imported_before_the_fork_starts_a_thread() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(LIMIT_SECONDS)
        # As in use: nobody says how many threads there are to be.
        environment = {key: value for key, value in os.environ.items() if "_NUM_THREADS" not in key}
        server = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, "--control", str(theirs.fileno()), MORE_MODULES],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            pass_fds=[theirs.fileno()],
        )
        try:
            theirs.close()
            assert json.loads(ours.recv(65536)) == {"ready": True, "reason": None}
        finally:
            server.kill()
            server.wait()
