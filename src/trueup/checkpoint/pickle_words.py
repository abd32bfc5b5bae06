"""What the globals of a pickle do, in words. They are refused all the same: see `ALLOWED`.

picklescan, where it is installed, says which of them it knows from attacks.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable

RUNS, STARTS, TALKS, FILES, UNPICKLES = (
    "runs any code",
    "starts programs",
    "talks to other machines",
    "reads or writes files",
    "unpickles something else",
)
RUNNING = (
    "eval", "exec", "execfile", "compile", "__import__", "apply", "breakpoint", "getattr",
    "setattr", "delattr", "globals", "locals", "vars", "map", "filter",
)  # fmt: skip
# The first that fits, by the name or a module that it is in.
WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (STARTS, ("os", "posix", "nt", "subprocess", "pty", "commands", "popen2", "pip", "webbrowser")),
    (FILES, ("builtins.open", "__builtin__.open", "__builtin__.file", "io", "_io", "shutil",
             "pathlib", "tempfile", "logging.FileHandler")),
    (UNPICKLES, ("pickle", "_pickle", "cPickle", "dill", "joblib", "marshal", "torch.load",
                 "torch.serialization.load", "numpy.load", "pandas.read_pickle",
                 "torch.utils._config_module")),
    (TALKS, ("socket", "ssl", "requests", "urllib", "urllib2", "http", "httplib", "httpx",
             "aiohttp", "asyncio", "ftplib", "smtplib")),
    (RUNS, (*(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in RUNNING),
            "importlib", "runpy", "code", "codeop", "pdb", "bdb",
            "timeit", "cProfile", "profile", "trace", "pkgutil", "pydoc", "ctypes", "cffi", "sys",
            "operator", "_operator", "functools", "types", "cloudpickle", "numpy.f2py",
            "numpy.testing", "torch._inductor", "torch._dynamo", "torch.fx", "torch.jit",
            "torch.utils.cpp_extension", "copyreg extension", "TorchScript", "setuptools",
            "distutils", "idlelib", "lib2to3", "test", "venv", "ensurepip", "doctest")),
    ("an array of numpy", ("numpy",)),
    ("settings of a training", ("transformers.training_args", "transformers.trainer_utils",
                                "accelerate", "argparse.Namespace", "omegaconf")),
    ("a whole model, not its weights", ("torch.nn.modules", "transformers.models",
                                        "transformers_modules")),
    ("something of the program that saved it", ("__main__",)),
)  # fmt: skip
# What an attack needs; Python's own pickles of enumerations name `getattr`.
ATTACKS = (RUNS, STARTS, TALKS, FILES, UNPICKLES)
HARMLESS = frozenset(
    {
        "builtins.getattr", "__builtin__.getattr", "pathlib.Path", "pathlib.PosixPath",
        "pathlib.PurePosixPath", "pathlib.WindowsPath", "types.SimpleNamespace",
        "functools.partial",
    }
)  # fmt: skip


def words_for(name: str) -> str:
    """What a global does, as far as its name tells; empty where it tells nothing."""
    part = name
    while part:
        for words, names in WORDS:
            if part in names:
                return words
        part = part.rpartition(".")[0]
    return ""


def attacks(names: Iterable[str]) -> list[str]:
    """Those of the globals that an honest pickle of anything would not name."""
    return [name for name in names if name not in HARMLESS and words_for(name) in ATTACKS]


def described(names: Iterable[str]) -> list[str]:
    """Each global with its words, and picklescan's verdict where that is bad."""
    known = list(names)
    scanned = _scanned(known)
    told = []
    for name in known:
        notes = [words_for(name), scanned.get(name, "")]
        inside = "; ".join(note for note in notes if note)
        told.append(f"`{_short(name)}`" + (f" ({inside})" if inside else ""))
    return told


def _scanned(names: list[str]) -> dict[str, str]:
    """What picklescan says of globals; nothing where it is not installed, as in a worker."""
    try:
        from picklescan.scanner import SafetyLevel, scan_pickle_bytes
    except ImportError:
        return {}
    logger = logging.getLogger("picklescan")
    was_disabled, logger.disabled = logger.disabled, True  # it warns of what is asked
    try:
        # Its own reading of a file keeps every instruction in memory: it is given the names alone.
        found = scan_pickle_bytes(io.BytesIO(_pickle_of(names)), "names").globals
    except Exception:  # somebody else's scanner must not end a check
        return {}
    finally:
        logger.disabled = was_disabled
    return {
        f"{each.module}.{each.name}": "picklescan knows it from attacks"
        for each in found
        if each.safety == SafetyLevel.Dangerous
    }


def _pickle_of(names: list[str]) -> bytes:
    """A pickle that names these globals and does nothing else."""
    pairs = [name.rpartition(".")[::2] for name in names if name.isprintable() and " " not in name]
    lines = b"".join(f"c{module}\n{name}\n0".encode() for module, name in pairs if module)
    return b"\x80\x02" + lines + b"N."


def _short(name: str) -> str:
    text = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return text if len(text) <= 80 else f"{text[:77]}..."
