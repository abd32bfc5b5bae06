"""The far worker as one file: a zipapp with the same bytes everywhere, named by their hash."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from importlib import resources

PACKAGE = "trueup_llamafactory"
START = f"import sys\nfrom {PACKAGE}.__main__ import main\nsys.exit(main())\n"
# What `llamafactory-cli` is to import at its start; the folder is on its path for that alone.
HOOK = "hook/sitecustomize.py"
INSTALL = f"""import os, sys
folder = os.path.dirname(__file__)
sys.path[:] = [path for path in sys.path if path != folder]
sys.path.append(os.path.dirname(folder))
from {PACKAGE}.cli_hook import install
install()
"""
# The oldest time that a zip can tell.
NO_TIME = (1980, 1, 1, 0, 0, 0)


@functools.cache
def worker_file() -> bytes:
    """The zipapp; uncompressed, since what compresses differs between systems."""
    folder = resources.files("trueup.backends.llamafactory") / "far"
    sources = {each.name: each.read_bytes() for each in folder.iterdir() if _is_source(each.name)}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("__main__.py"), START)
        archive.writestr(_entry(HOOK), INSTALL)
        for name in sorted(sources):
            archive.writestr(_entry(f"{PACKAGE}/{name}"), sources[name])
    return target.getvalue()


@functools.cache
def worker_name() -> str:
    """The name of that file."""
    return f"worker-{hashlib.sha256(worker_file()).hexdigest()[:16]}.pyz"


def _is_source(name: str) -> bool:
    return name.endswith(".py")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, NO_TIME)
    entry.create_system = 3  # Unix, wherever it is made
    entry.external_attr = 0o600 << 16
    return entry
