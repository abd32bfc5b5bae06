"""A loopback hub: what is asked of Hugging Face and ModelScope, and every failure of a network.

Large files are answered by a redirect to a second origin, as the real hub's are, which must never
be shown a token.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE_SUFFIXES = (".safetensors", ".bin", ".gguf")
SIGN_IN_PAGE = b"<!DOCTYPE html><html><title>Sign in to the network</title></html>"
POLL_SECONDS = 0.01  # until it sees that it should end
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Repository:
    """One model: commits with their files, and the branches and tags that name them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    is_private: bool = False
    is_gated: bool = False

    def commit_of(self, revision: str) -> str | None:
        named = self.branches.get(revision) or self.tags.get(revision)
        return named or (revision if revision in self.commits else None)


@dataclass
class Request:
    """What was asked, for tests to look at; `body_bytes` is how much was sent in answer."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    is_cdn: bool
    body_bytes: int = 0


@dataclass
class Fault:
    """What goes wrong with requests whose path contains `path`, `times` times (None: always).

    Either an answer with `status`, or the right one cut after `cut_after` bytes, with `page` in
    place of its body, with another byte in it, with a pause in it until the test lets go, or never.
    """

    path: str
    times: int | None = None
    method: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    page: bytes | None = None
    pause_after: int | None = None
    stalls: bool = False
    damages: bool = False

    def takes(self, request: Request) -> bool:
        if self.path not in request.path or self.method not in (None, request.method):
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class HubServer:
    """The server, its models, its faults and its log."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.serves_ranges = True
        self.hides_sizes = False
        self.released = threading.Event()
        self._servers = [self._server(is_cdn=False), self._server(is_cdn=True)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def cdn_url(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def add(self, name: str, files: Mapping[str, Any], *, branch: str = "main") -> str:
        """A new commit on a branch; JSON for what is neither bytes nor text. Returns the commit."""
        contents = {key: _bytes(value) for key, value in files.items()}
        told = repr(sorted((key, hashlib.sha1(each).hexdigest()) for key, each in contents.items()))
        commit = hashlib.sha1(f"{name} {branch} {told}".encode()).hexdigest()
        repository = self.repositories.setdefault(name, Repository())
        repository.commits[commit] = contents
        repository.branches[branch] = commit
        return commit

    def fail(self, path: str, **what: Any) -> Fault:
        fault = Fault(path=path, **what)
        self.faults.append(fault)
        return fault

    def asked(self, path: str, method: str = "GET") -> list[Request]:
        return [each for each in self.requests if path in each.path and each.method == method]

    def blob(self, digest: str) -> bytes | None:
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == digest:
                        return content
        return None

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        threads = [
            threading.Thread(target=each.serve_forever, args=(POLL_SECONDS,))
            for each in self._servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.released.set()
            for server in self._servers:
                server.shutdown()
                server.server_close()
            for thread in threads:
                thread.join()

    def _server(self, *, is_cdn: bool) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "is_cdn": is_cdn})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        return server


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    is_cdn: bool
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        request = Request(
            method=method,
            path=self.path,
            range=self.headers.get("Range"),
            authorization=self.headers.get("Authorization"),
            is_cdn=self.is_cdn,
        )
        self.hub.requests.append(request)
        self._request = request
        self._fault = next((each for each in self.hub.faults if each.takes(request)), None)
        if self._fault and self._fault.stalls:
            self.hub.released.wait()
            self.close_connection = True
        elif self._fault and self._fault.status:
            self._say(self._fault.status, b"", self._fault.headers)
        elif self._fault and self._fault.page is not None:
            self._say(200, self._fault.page, {"Content-Type": "text/html; charset=utf-8"})
        else:
            self._route()

    def _route(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if self.is_cdn:
            content = self.hub.blob(path.removeprefix("/"))
            self._say_content(content) if content is not None else self._say(404, b"")
        elif path == "/api/models":
            self._search(parse_qs(parts.query).get("search", [""])[0])
        elif match := re.fullmatch(r"/api/models/(.+?)/(revision|refs|tree)(?:/(.+))?", path):
            self._api(match[1], match[2], match[3] or "main", parts.query)
        elif match := re.fullmatch(r"/api/v1/models/(.+?)/(repo/files|repo|revisions)", path):
            self._modelscope(match[1], match[2], parse_qs(parts.query))
        elif match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self._say(404, b"Not Found")

    def _repository(self, name: str) -> Repository | None:
        """The repository, or None with the refusal said."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            said = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._say(401, b"", said)
            return None
        found = self.hub.repositories.get(name)
        if found is None or (found.is_private and not token):
            code = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self._say(404 if token else 401, b"", code)
            return None
        return found

    def _api(self, name: str, kind: str, revision: str, query: str) -> None:
        if name in self.hub.renamed:
            tail = f"{kind}/{revision}" if kind != "refs" else kind
            place = f"/api/models/{self.hub.renamed[name]}/{tail}?{query}"
            self._say(307, b"", {"Location": place})
            return
        repository = self._repository(name)
        if repository is None:
            return
        if kind == "refs":
            rows = {
                key: [{"name": ref, "ref": ref, "targetCommit": sha} for ref, sha in refs.items()]
                for key, refs in (("branches", repository.branches), ("tags", repository.tags))
            }
            self._say_json({**rows, "converts": []})
            return
        commit = repository.commit_of(revision)
        if commit is None:
            self._say(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [_sibling(*item) for item in sorted(repository.commits[commit].items())]
        if self.hub.hides_sizes:
            siblings = [{"rfilename": each["rfilename"]} for each in siblings]
        gated = "manual" if repository.is_gated else False
        self._say_json({"id": name, "sha": commit, "gated": gated, "siblings": siblings})

    def _modelscope(self, name: str, kind: str, query: dict[str, list[str]]) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._say(404, json.dumps({"Code": 404, "Success": False}).encode())
            return
        commit = repository.commit_of(query.get("Revision", ["master"])[0])
        if kind == "revisions":
            rows = {
                key: [{"Revision": ref} for ref in refs] or None
                for key, refs in (("Branches", repository.branches), ("Tags", repository.tags))
            }
            self._say_json({"Code": 200, "Data": {"RevisionMap": rows}})
        elif commit is None:
            self._say(404, b"")
        elif kind == "repo":
            self._say_content(repository.commits[commit][query["FilePath"][0]])
        else:
            files = [
                {
                    "Path": path,
                    "Type": "blob",
                    "Size": len(content),
                    "Sha256": hashlib.sha256(content).hexdigest(),
                }
                for path, content in repository.commits[commit].items()
            ]
            files.append({"Path": "onnx", "Type": "tree", "Size": 0, "Sha256": ""})
            self._say_json({"Code": 200, "Data": {"Files": files}})

    def _search(self, words: str) -> None:
        found = [name for name in self.hub.repositories if words.lower() in name.lower()]
        self._say_json([{"id": name, "modelId": name} for name in found])

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if name in self.hub.renamed:
            place = f"/{self.hub.renamed[name]}/resolve/{revision}/{file}"
            self._say(307, b"", {"Location": place})
            return
        repository = self._repository(name)
        if repository is None:
            return
        if repository.is_gated and not self.headers.get("Authorization"):
            self._say(401, b"", {"X-Error-Code": "GatedRepo"})
            return
        commit = repository.commit_of(revision)
        if commit is None or file not in repository.commits[commit]:
            code = "RevisionNotFound" if commit is None else "EntryNotFound"
            self._say(404, b"", {"X-Error-Code": code, "X-Repo-Commit": commit or ""})
            return
        content = repository.commits[commit][file]
        if file.endswith(LARGE_SUFFIXES):
            digest = hashlib.sha256(content).hexdigest()
            linked = {
                "Location": f"{self.hub.cdn_url}/{digest}",
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(content)),
            }
            self._say(302, b"", linked)
            return
        etag = f'"{git_digest(content)}"'
        self._say_content(content, {"X-Repo-Commit": commit, "ETag": etag})

    def _say_json(self, shape: Any) -> None:
        self._say(200, json.dumps(shape).encode(), {"Content-Type": "application/json"})

    def _say_content(self, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        wanted = RANGE.fullmatch(self.headers.get("Range") or "")
        known = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        known |= headers or {}
        if wanted is None or not self.hub.serves_ranges:
            self._say(200, content, known)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        if start >= len(content):
            self._say(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        known["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._say(206, content[start : end + 1], known)

    def _say(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self._request.method == "HEAD":
            return
        fault = self._fault
        if fault and fault.damages and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault and fault.cut_after is not None:
            body = body[: fault.cut_after]
            self.close_connection = True
        self._request.body_bytes = len(body)
        try:
            if fault and fault.pause_after is not None:
                self.wfile.write(body[: fault.pause_after])
                self.hub.released.wait()
                body = body[fault.pause_after :]
            self.wfile.write(body)
        except OSError:  # the client has gone
            self.close_connection = True


def git_digest(content: bytes) -> str:
    """The digest by which git, and so the hub, knows a small file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rfilename": name,
        "size": len(content),
        "blobId": git_digest(content),
    }
    if name.endswith(LARGE_SUFFIXES):
        digest = hashlib.sha256(content).hexdigest()
        row["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return row


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
