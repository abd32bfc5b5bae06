"""`python -m trueup.worker.forkserver` with the recording engine: RECORD GATES FAULT first.

The files are opened here: a worker is confined. numpy is imported by the fork-server, whose way
starts no threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from trueup.adapt.plan import Plan
from trueup.worker.forkserver import MODULES, main

if __name__ == "__main__":
    record, gates, fault = sys.argv[1:4]
    del sys.argv[1:4]
    record_fd = os.open(record, os.O_WRONLY | os.O_APPEND)
    gate_fd = os.open(gates, os.O_RDONLY)

    def load(plan: Plan, progress: Callable[[float], None]) -> Any:
        from tests.resume.recording import Recorder, load_recording

        return load_recording(plan, progress, Recorder(record_fd, gate_fd), fault)

    main(MODULES, load)
