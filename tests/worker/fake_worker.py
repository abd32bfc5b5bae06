"""`python -m trueup.worker` with the fake engine."""

from tests.worker.fake_engine import load_fake
from trueup.worker.__main__ import main

if __name__ == "__main__":
    main(load_fake)
