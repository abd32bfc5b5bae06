from __future__ import annotations

import asyncio

from trueup.pool.process import STDERR_LINE_BYTES, STDERR_LINES, Stderr


def stderr_after(*pieces: bytes) -> list[str]:
    async def main() -> list[str]:
        stderr = Stderr()
        for piece in pieces:
            stderr.data_received(piece)
        return stderr.lines

    return asyncio.run(main())


def test_the_last_lines_are_kept() -> None:
    lines = stderr_after(*(b"line %d\r\n" % number for number in range(50)), b"the e", b"nd")
    assert lines == [*(f"line {number}" for number in range(50 - STDERR_LINES, 50)), "the end"]


def test_a_progress_bar_is_lines_too() -> None:
    assert stderr_after(b"load: 1%\rload: 2%\r", b"load: 3%") == [
        "load: 1%",
        "load: 2%",
        "load: 3%",
    ]


def test_output_without_a_line_end_does_not_grow_without_bound() -> None:
    (line,) = stderr_after(*[b"x" * 4096] * 10, b"end")
    assert len(line) == STDERR_LINE_BYTES
    assert line.endswith("xend")
    assert len(stderr_after(b"x" * 9999 + b"\n")[0]) == STDERR_LINE_BYTES
