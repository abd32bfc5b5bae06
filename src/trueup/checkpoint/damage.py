"""Files that are not what their names say, told from their first bytes."""

from __future__ import annotations

from trueup.checkpoint.checkpoint import Problem

LFS_MARK = b"version https://git-lfs.github.com/spec/"
HTML_MARKS = (b"<!doctype html", b"<html", b"<?xml")
HEAD_BYTES = 512


def mistaken_content(path: str, head: bytes) -> Problem | None:
    """A Problem where `head`, the file's first bytes, is a Git LFS pointer or a web page."""
    if head.startswith(LFS_MARK):
        size = next(
            (
                line[5:].decode("ascii", "replace")
                for line in head.splitlines()[:4]
                if line.startswith(b"size ")
            ),
            "unknown",
        )
        return Problem(
            kind="lfs_pointer",
            path=path,
            detail=f"a Git LFS pointer to {size} bytes, not the content",
        )
    if head.lstrip()[:20].lower().startswith(HTML_MARKS):
        return Problem(kind="html", path=path, detail="a web page, not the content")
    return None
