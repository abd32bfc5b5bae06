"""Whoever looks on while something is downloaded: a terminal, a log, or nobody."""

from __future__ import annotations

import threading


class Watch:
    """Is told how far a download is, from several threads; this one tells nobody.

    Setting `stop` ends the work within a fraction of a second, with what came so far kept.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()

    def note(self, text: str) -> None:
        """Something worth a line, such as what stands in for a hub that cannot be reached."""

    def asking(self, what: str) -> None:
        """A hub is asked what a model is; `answered` follows."""

    def answered(self) -> None:
        """It has answered, or not."""

    def started(self, what: str, *, files: int, total_bytes: int, present_bytes: int) -> None:
        """A download begins; `present_bytes` of it are here from before."""

    def advanced(self, count: int) -> None:
        """`count` more bytes are here; fewer than none where a part has to come again."""

    def ended(self) -> None:
        """The download is whole, or was given up."""
