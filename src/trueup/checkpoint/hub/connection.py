"""What is asked of a hub, and how Hugging Face's and ModelScope's are asked it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from trueup.checkpoint.hub.fault_status import status_error
from trueup.checkpoint.hub.faults import NotAHubAnswer
from trueup.checkpoint.hub.identifier import COMMIT
from trueup.checkpoint.hub.listing import HubFile, Listing, known_digest
from trueup.checkpoint.hub.service import HUGGING_FACE, MODELSCOPE, current
from trueup.checkpoint.hub.session import Part, Session
from trueup.errors import HubError

ODD_SHAPES = (KeyError, TypeError, AttributeError, JSONDecodeError, UnicodeDecodeError)


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


def connect() -> Hub:
    """The hub that the environment names."""
    return ModelScope() if current() is MODELSCOPE else HuggingFace()


class HuggingFace:
    """The hub at HF_ENDPOINT; the token is that of HF_TOKEN or of `hf auth login`."""

    def __init__(self) -> None:
        self._session = Session(HUGGING_FACE)
        self._client = self._session.client
        self.endpoint = self._session.endpoint

    def _explaining(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._session.explaining(name, is_signed_in=bool(self._client.get_token()))

    def listing(self, name: str, revision: str) -> Listing:
        """See Hub."""
        with self._explaining(name):
            api = self._client.HfApi(endpoint=self.endpoint)
            try:
                info = api.model_info(
                    name, revision=revision, files_metadata=True, timeout=self._session.timeout
                )
                if COMMIT.fullmatch(info.sha or "") is None or info.siblings is None:
                    raise NotAHubAnswer
                if any(each.size is None for each in info.siblings) and info.gated:
                    raise self._gated(name)
                files = {each.rfilename: _file(each) for each in info.siblings}
            except ODD_SHAPES as error:
                raise NotAHubAnswer from error
        return Listing(name=name, commit=info.sha, revision=info.sha, files=files)

    def _gated(self, name: str) -> HubError:
        return status_error(
            403,
            {"x-error-code": "GatedRepo"},
            name=name,
            service=HUGGING_FACE,
            endpoint=self.endpoint,
            url=f"{self.endpoint}/{name}",
            is_signed_in=bool(self._client.get_token()),
        )

    @contextlib.contextmanager
    def part(self, listing: Listing, file: str, start: int, end: int | None) -> Iterator[Part]:
        """See Hub."""
        url = f"{self.endpoint}/{listing.name}/resolve/{listing.revision}/{quote(file)}"
        headers = self._client.utils.build_hf_headers()
        with self._explaining(listing.name), self._session.part(url, headers, start, end) as part:
            yield part

    def search(self, words: str) -> list[str]:
        """See Hub."""
        with self._explaining(words):
            params = {"search": words, "limit": 20, "sort": "downloads", "direction": -1}
            headers = self._client.utils.build_hf_headers()
            rows = self._session.json("/api/models", headers, params)
            return _strings(rows, "id")

    def revisions(self, name: str) -> list[str]:
        """See Hub."""
        with self._explaining(name):
            headers = self._client.utils.build_hf_headers()
            shape = self._session.json(f"/api/models/{name}/refs", headers)
            return [each for kind in ("branches", "tags") for each in _strings(shape[kind], "name")]


class ModelScope:
    """The hub at MODELSCOPE_ENDPOINT; the token is MODELSCOPE_API_TOKEN.

    Its listings name no commit: a digest over names and contents stands for one.
    """

    def __init__(self) -> None:
        self._session = Session(MODELSCOPE)
        self.endpoint = self._session.endpoint
        self._token = os.environ.get(MODELSCOPE.token_variable)

    def _explaining(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._session.explaining(name, is_signed_in=bool(self._token))

    @property
    def _headers(self) -> dict[str, str]:
        if not self._token:
            return {}
        cookie = f"m_session_id={self._token}"  # what its older paths know a user by
        return {"Authorization": f"Bearer {self._token}", "Cookie": cookie}

    def listing(self, name: str, revision: str) -> Listing:
        """See Hub."""
        params = {"Revision": revision, "Recursive": "True"}
        with self._explaining(name):
            shape = self._session.json(f"/api/v1/models/{name}/repo/files", self._headers, params)
            try:
                files = {
                    row["Path"]: HubFile(
                        size_bytes=int(row["Size"]),
                        etag=known_digest(row["Sha256"]),
                        sha256=known_digest(row["Sha256"]),
                    )
                    for row in shape["Data"]["Files"]
                    if row["Type"] == "blob"
                }
            except (*ODD_SHAPES, ValueError) as error:
                raise NotAHubAnswer from error
        told = repr(sorted((path, each.size_bytes, each.etag) for path, each in files.items()))
        commit = hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()
        return Listing(name=name, commit=commit, revision=revision, files=files)

    @contextlib.contextmanager
    def part(self, listing: Listing, file: str, start: int, end: int | None) -> Iterator[Part]:
        """See Hub."""
        query = urlencode({"Revision": listing.revision, "FilePath": file})
        url = f"{self.endpoint}/api/v1/models/{listing.name}/repo?{query}"
        with (
            self._explaining(listing.name),
            self._session.part(url, self._headers, start, end) as part,
        ):
            yield part

    def search(self, words: str) -> list[str]:
        """See Hub; ModelScope has no search that its client knows of."""
        return []

    def revisions(self, name: str) -> list[str]:
        """See Hub."""
        with self._explaining(name):
            shape = self._session.json(f"/api/v1/models/{name}/revisions", self._headers)
            found = shape["Data"]["RevisionMap"]
            return [
                each
                for kind in ("Branches", "Tags")
                for each in _strings(found[kind] or [], "Revision")
            ]


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    sha256 = None
    size = sibling.size
    if lfs is not None:
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else lfs.sha256
        size = (lfs.get("size") if isinstance(lfs, dict) else lfs.size) or size
    if not isinstance(size, int) or size < 0:
        raise NotAHubAnswer
    sha256 = known_digest(sha256)
    etag = sha256 or known_digest(sibling.blob_id)
    return HubFile(size_bytes=size, etag=etag, sha256=sha256)


def _strings(rows: Any, key: str) -> list[str]:
    return [row[key] for row in rows if isinstance(row, dict) and isinstance(row.get(key), str)]
