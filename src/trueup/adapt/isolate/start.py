"""`python -m trueup.adapt.isolate.start LENT MODULE …`: runs MODULE in a Python of its own.

LENT is a folder of modules for what that Python lacks. Imports the standard library alone.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    """Put the lent folder behind everything, then be the module."""
    lent, module = sys.argv[1:3]
    sys.path.append(lent)
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
