"""Requests to a hub through the session of Hugging Face's client, whichever version is installed.

The session reads the proxies' variables and certificates. Importing the client takes a third of
a second: only those who ask the network do.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from trueup.checkpoint.hub.faults import NotAHubAnswer, explained, page_error
from trueup.checkpoint.hub.service import Service
from trueup.errors import HubError

CHUNK_BYTES = 64 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came of a file: from which byte on, and its pieces; `total_bytes` is the whole file."""

    start: int
    total_bytes: int | None
    pieces: Iterator[bytes]


class Session:
    """Asks one service; what goes wrong is told in its words."""

    def __init__(self, service: Service) -> None:
        import huggingface_hub
        from huggingface_hub.utils import logging as client_logging

        self.service = service
        self.endpoint = service.address()
        self.client: ModuleType = huggingface_hub
        self.timeout: float = huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT
        self._read_timeout: float = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Its warnings of tries that fail would stand between our own lines.
        if client_logging.get_verbosity() == logging.WARNING:
            client_logging.set_verbosity(logging.ERROR)

    @contextlib.contextmanager
    def explaining(self, name: str, *, is_signed_in: bool) -> Iterator[None]:
        """Turn what goes wrong with a request about the model `name` into a HubError."""
        try:
            yield
        except HubError:
            raise
        except Exception as error:  # they share no base class over the client's versions
            raise explained(
                error,
                name,
                service=self.service,
                endpoint=self.endpoint,
                is_signed_in=is_signed_in,
            ) from error

    def json(
        self, path: str, headers: Mapping[str, str], params: Mapping[str, Any] | None = None
    ) -> Any:
        """What a GET of `path` answers."""
        answer = self.client.utils.get_session().get(
            f"{self.endpoint}{path}", params=params, headers=headers, timeout=self.timeout
        )
        self.client.utils.hf_raise_for_status(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise NotAHubAnswer from error

    @contextlib.contextmanager
    def part(
        self, url: str, headers: Mapping[str, str], start: int, end: int | None
    ) -> Iterator[Part]:
        """The bytes of a file from `start` up to and without `end`, or what the server gives."""
        wanted = {
            **headers,
            "Range": f"bytes={start}-{'' if end is None else end - 1}",
            "Accept-Encoding": "identity",
        }
        with self._opened(url, wanted) as (answer, pieces):
            if "text/html" in answer.headers.get("content-type", ""):
                raise page_error(url, self.service)
            began, total = _place(answer.status_code, answer.headers)
            yield Part(start=began, total_bytes=total, pieces=pieces)

    @contextlib.contextmanager
    def _opened(
        self, url: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[Any, Iterator[bytes]]]:
        """An answer whose body has not been read, by httpx (client 1.0 and later) or requests."""
        session = self.client.utils.get_session()
        if hasattr(session, "build_request"):
            request = session.build_request("GET", url, headers=headers, timeout=self._read_timeout)
            answer = session.send(request, stream=True)
            pieces = answer.iter_raw()  # as it comes: a break loses nothing of it
        else:
            answer = session.get(url, headers=headers, timeout=self._read_timeout, stream=True)
            pieces = answer.iter_content(CHUNK_BYTES)
        try:
            if answer.status_code >= 400:
                self.client.utils.hf_raise_for_status(answer)
            yield answer, pieces
        finally:
            answer.close()


def _place(status: int, headers: Mapping[str, str]) -> tuple[int, int | None]:
    """From which byte an answer begins, and how long the whole file is."""
    if status == 206:
        match = CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
        if match is None:
            raise NotAHubAnswer
        return int(match[1]), int(match[2])
    length = headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None
