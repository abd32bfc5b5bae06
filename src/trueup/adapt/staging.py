"""A model directory as its own code wants it: links to the model's files and to the agreed code.

Python files come from the read-only copy of `trust/copy.py` and from nowhere else; everything else
is linked from the model's directory. The folder lies where the process may write; whoever made it
removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError
from trueup.trust.copy import TrustedCode

# What Python would import, from wherever it lies.
IMPORTABLE = (".py", ".pyc", ".pyo", ".so", ".pyd", ".pth", ".egg", ".zip", ".whl")
TOKENIZER_CONFIG = "tokenizer_config.json"
BETWEEN = "--"
# Old releases name modules after the folder and keep them by that name: another code, another
# name. A name with dots or dashes could not be imported there.
NAME_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """`directory` is the model; the code of other repositories lies beside it once asked for."""

    root: Path
    directory: Path
    trusted: TrustedCode

    def code(self, reference: str) -> tuple[Path, str]:
        """The folder of a `module.Class` or `org/name--module.Class`, and the part after it.

        Raises: AdaptError for a repository whose code was not agreed to.
        """
        repository, between, local = reference.rpartition(BETWEEN)
        if not between:
            return self.directory, reference
        source = self.trusted.directory(repository)
        if not source.is_dir():
            raise AdaptError(
                f"the model asks for code of `{repository}`, which is not in the agreed copy",
                where=str(self.trusted.folder),
            )
        name = hashlib.sha256(f"{self.trusted.digest} {repository}".encode()).hexdigest()
        folder = self.root / f"code_{name[:NAME_DIGITS]}"
        if not folder.is_dir():
            with _told():
                folder.mkdir()
                _link_code(source, folder)
        return folder, local


def stage(checkpoint: Checkpoint, code: TrustedCode, fixes: Sequence[str] = ()) -> Staging:
    """A new folder of links in the directory for temporary files, named after code and fixes.

    Raises: AdaptError where it cannot be made.
    """
    with _told():
        root = Path(tempfile.mkdtemp(prefix="own_"))
        name = hashlib.sha256(" ".join((code.digest, *fixes)).encode()).hexdigest()
        directory = root / f"model_{name[:NAME_DIGITS]}"
        directory.mkdir()
        _link_code(code.directory(), directory)
        _link_files(checkpoint, directory)
    return Staging(root=root, directory=directory, trusted=code)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AdaptError(
            f"the model's files cannot be linked: {error.strerror or error}",
            where=str(error.filename or tempfile.gettempdir()),
        ) from error


def _link_code(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*.py")):
        _link(path, target / path.relative_to(source))


def _link_files(checkpoint: Checkpoint, target: Path) -> None:
    for name in checkpoint.files:
        if not name.endswith(IMPORTABLE) and name != TOKENIZER_CONFIG:
            _link(checkpoint.directory / name, target / name)
    if TOKENIZER_CONFIG in checkpoint.files:
        _write_tokenizer_config(checkpoint, target / TOKENIZER_CONFIG)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.absolute())


def _write_tokenizer_config(checkpoint: Checkpoint, target: Path) -> None:
    """The file itself, but for a class name that is missing.

    Without one, releases since 4.34 read the config as well and ask at the terminal whether its
    code may run.
    """
    reference = checkpoint.auto_map.get("AutoTokenizer")
    if not reference or checkpoint.tokenizer_config.get("tokenizer_class"):
        _link(checkpoint.directory / TOKENIZER_CONFIG, target)
        return
    named = {**checkpoint.tokenizer_config, "tokenizer_class": reference.rpartition(".")[2]}
    target.write_text(json.dumps(named, ensure_ascii=False), encoding="utf-8")
