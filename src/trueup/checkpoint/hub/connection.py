"""Hugging Face's hub, asked through its own client: listings, and files or parts of them.

The client reads HF_ENDPOINT, HF_TOKEN, HF_HOME, the proxies' variables and its timeouts. Imported
only by those who ask the network: it takes a third of a second.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from trueup.checkpoint.hub.faults import NotAHubAnswer, explained, page_error
from trueup.checkpoint.hub.listing import HubFile, Listing
from trueup.errors import HubError

DEFAULT_ENDPOINT = "https://huggingface.co"
TRUE_WORDS = {"1", "ON", "YES", "TRUE"}
CHUNK_BYTES = 64 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came of a file: from which byte on, and its pieces; `total_bytes` is the whole file."""

    start: int
    total_bytes: int | None
    pieces: Iterator[bytes]


class Hub(Protocol):
    """What is asked of a hub; every method raises HubError."""

    endpoint: str

    def listing(self, name: str, revision: str) -> Listing:
        """The commit that `revision` means, and its files."""

    def part(
        self, listing: Listing, file: str, start: int, end: int | None
    ) -> contextlib.AbstractContextManager[Part]:
        """The bytes from `start` up to and without `end`; more may come, and from further ahead."""

    def search(self, words: str) -> list[str]:
        """Ids of models with these words in their names, those most in use first."""

    def revisions(self, name: str) -> list[str]:
        """The branches and tags of a repository."""


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to ask."""
    word = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return word.upper() in TRUE_WORDS


def endpoint_of_environment() -> str:
    """HF_ENDPOINT, else Hugging Face's own address."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


class HuggingFace:
    """The hub at HF_ENDPOINT."""

    def __init__(self) -> None:
        import huggingface_hub
        from huggingface_hub.utils import logging as client_logging

        self.endpoint = endpoint_of_environment()
        self._client = huggingface_hub
        self._timeout: float = huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT
        self._read_timeout: float = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Its warnings of tries that fail would stand between our own lines.
        if client_logging.get_verbosity() == logging.WARNING:
            client_logging.set_verbosity(logging.ERROR)
        huggingface_hub.utils.disable_progress_bars()

    @property
    def _is_signed_in(self) -> bool:
        return bool(self._client.get_token())

    @contextlib.contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        try:
            yield
        except HubError:
            raise
        except Exception as error:  # they share no base class over the client's versions
            raise explained(
                error, name, endpoint=self.endpoint, is_signed_in=self._is_signed_in
            ) from error

    def listing(self, name: str, revision: str) -> Listing:
        """See Hub."""
        with self._explaining(name):
            api = self._client.HfApi(endpoint=self.endpoint)
            try:
                info = api.model_info(
                    name, revision=revision, files_metadata=True, timeout=self._timeout
                )
                if not info.sha or info.siblings is None:
                    raise NotAHubAnswer
                files = {each.rfilename: _file(each) for each in info.siblings}
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise NotAHubAnswer from error
        return Listing(name=name, commit=info.sha, files=files)

    @contextlib.contextmanager
    def part(self, listing: Listing, file: str, start: int, end: int | None) -> Iterator[Part]:
        """See Hub."""
        url = f"{self.endpoint}/{listing.name}/resolve/{listing.commit}/{quote(file)}"
        with self._explaining(listing.name):
            headers = {
                **self._client.utils.build_hf_headers(),
                "Range": f"bytes={start}-{'' if end is None else end - 1}",
                "Accept-Encoding": "identity",
            }
            with self._opened(url, headers) as (answer, pieces):
                if "text/html" in answer.headers.get("content-type", ""):
                    raise page_error(url)
                began, total = _place(answer.status_code, answer.headers)
                yield Part(start=began, total_bytes=total, pieces=pieces)

    @contextlib.contextmanager
    def _opened(
        self, url: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[Any, Iterator[bytes]]]:
        """An answer whose body has not been read, by httpx (client 1.0 and later) or requests."""
        session = self._client.utils.get_session()
        if hasattr(session, "build_request"):
            request = session.build_request("GET", url, headers=headers, timeout=self._read_timeout)
            answer = session.send(request, stream=True)
            pieces = answer.iter_raw()  # as it comes: a break loses nothing of it
        else:
            answer = session.get(url, headers=headers, timeout=self._read_timeout, stream=True)
            pieces = answer.iter_content(CHUNK_BYTES)
        try:
            if answer.status_code >= 400:
                self._client.utils.hf_raise_for_status(answer)
            yield answer, pieces
        finally:
            answer.close()

    def search(self, words: str) -> list[str]:
        """See Hub."""
        with self._explaining(words):
            answer = self._client.utils.get_session().get(
                f"{self.endpoint}/api/models",
                params={"search": words, "limit": 20, "sort": "downloads", "direction": -1},
                headers=self._client.utils.build_hf_headers(),
                timeout=self._timeout,
            )
            self._client.utils.hf_raise_for_status(answer)
            rows = answer.json()
        return [
            row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
        ]

    def revisions(self, name: str) -> list[str]:
        """See Hub."""
        with self._explaining(name):
            answer = self._client.utils.get_session().get(
                f"{self.endpoint}/api/models/{name}/refs",
                headers=self._client.utils.build_hf_headers(),
                timeout=self._timeout,
            )
            self._client.utils.hf_raise_for_status(answer)
            shape = answer.json()
        return [
            row["name"]
            for kind in ("branches", "tags")
            for row in shape.get(kind, ())
            if isinstance(row, dict) and isinstance(row.get("name"), str)
        ]


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    sha256 = None
    size = sibling.size
    if lfs is not None:
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else lfs.sha256
        size = (lfs.get("size") if isinstance(lfs, dict) else lfs.size) or size
    if not isinstance(size, int):
        raise NotAHubAnswer
    return HubFile(size_bytes=size, etag=sha256 or sibling.blob_id, sha256=sha256)


def _place(status: int, headers: Mapping[str, str]) -> tuple[int, int | None]:
    """From which byte an answer begins, and how long the whole file is."""
    if status == 206:
        match = CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
        if match is None:
            raise NotAHubAnswer
        return int(match[1]), int(match[2])
    length = headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None
