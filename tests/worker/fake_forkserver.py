"""`python -m trueup.worker.forkserver` with the fake engine; `threads` makes it unsafe to fork."""

import sys
import threading

from tests.worker.fake_engine import load_fake
from trueup.worker.forkserver import main

if __name__ == "__main__":
    if "threads" in sys.argv:
        sys.argv.remove("threads")
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    main((), load_fake)
