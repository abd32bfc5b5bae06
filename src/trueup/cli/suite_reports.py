"""A suite's report in its forms, printed or written to files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueup.errors import UsageError

FORMATS = ("text", "json", "markdown", "html", "junit", "github")
SUFFIXES = {
    ".txt": "text",
    ".json": "json",
    ".md": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xml": "junit",
}
# Where GitHub's workflows have their checkout.
WORKSPACE_VARIABLE = "GITHUB_WORKSPACE"


def report_files(paths: Sequence[Path]) -> dict[Path, str]:
    """The form of each file by its ending.

    Raises:
        UsageError: an ending is not known, a file comes twice, or it cannot be written.
    """
    found: dict[Path, str] = {}
    for path in paths:
        form = SUFFIXES.get(path.suffix.lower())
        if form is None:
            known = ", ".join(f"`{each}`" for each in SUFFIXES)
            raise UsageError(
                f"the file ends in `{path.suffix}`, expected one of {known}",
                where=f"--report {path}",
            )
        if path in found:
            raise UsageError("the file is named twice", where=f"--report {path}")
        _check_writable(path)
        found[path] = form
    return found


def _check_writable(path: Path) -> None:
    """See before a long run that its report can be written."""
    folder = path.parent
    if path.is_dir():
        cause = "it is a directory, expected a file"
    elif not folder.is_dir():
        cause = f"there is no directory `{folder}`"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        cause = "it cannot be written: permission denied"
    else:
        return
    raise UsageError(cause, where=f"--report {path}")


def rendered(report: Mapping[str, Any], form: str) -> str:
    """The report in one of FORMATS, `text` without colour."""
    return RENDERERS[form](report)


def write_reports(report: Mapping[str, Any], files: Mapping[Path, str]) -> list[str]:
    """Write all that can be written; returns why the others were not."""
    faults = []
    for path, form in files.items():
        try:
            _write(path, rendered(report, form).encode("utf-8", "backslashreplace"))
        except OSError as error:
            faults.append(f"`{path}` was not written: {error.strerror or error}")
    return faults


def _write(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():  # a pipe or a device
        path.write_bytes(content)
        return
    # Whole or not at all: a reader must never meet half a report.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _text(report: Mapping[str, Any]) -> str:
    from trueup.suite.render.text import report_lines

    return "".join(f"{line.text}\n" for line in report_lines(report))


def _json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _markdown(report: Mapping[str, Any]) -> str:
    from trueup.suite.render.markdown import markdown

    return markdown(report)


def _html(report: Mapping[str, Any]) -> str:
    from trueup.suite.render.html import html

    return html(report)


def _junit(report: Mapping[str, Any]) -> str:
    from trueup.suite.render.junit import junit

    return junit(report)


def _github(report: Mapping[str, Any]) -> str:
    from trueup.suite.render.github import github

    return github(report, root=Path(os.environ.get(WORKSPACE_VARIABLE) or Path.cwd()))


RENDERERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "html": _html,
    "junit": _junit,
    "github": _github,
}
