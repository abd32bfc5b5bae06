"""`python -m trueup` and the script `trueup`."""

import sys


def run() -> int:
    """The command; an interrupt while it is still being imported ends it as quietly as later."""
    try:
        from trueup.cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
