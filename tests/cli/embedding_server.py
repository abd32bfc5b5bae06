"""An OpenAI-compatible server of embeddings on loopback, in threads: ours or another's."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "codebert"
DIMENSIONS = 6


@dataclass
class EmbeddingServer:
    """`rows` is what /v1/models has; a text's vector is its length, then ones.

    `answer` replaces the status and the body of the answers; `requests` are the bodies.
    """

    rows: list[dict[str, Any]] = field(default_factory=lambda: [{"id": MODEL}])
    answer: tuple[int, bytes] | None = None
    notes: dict[str, list[int]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def embeddings(self, request: dict[str, Any]) -> bytes:
        dimensions = request.get("dimensions", DIMENSIONS)
        rows = []
        for index, text in enumerate(request["input"]):
            numbers = [float(len(text)), *[1.0] * (dimensions - 1)]
            vector = base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": vector})
        shape = {"object": "list", "data": rows[::-1], "model": request["model"], "usage": {}}
        if self.notes:
            shape["trueup"] = self.notes
        return json.dumps(shape).encode()

    @contextmanager
    def listening(self) -> Iterator[EmbeddingServer]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, json.dumps({"object": "list", "data": outer.rows}).encode())

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(length))
                outer.requests.append(request)
                self._send(*(outer.answer or (200, outer.embeddings(request))))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def our_row(name: str = MODEL, kind: str = "embedding", **changes: Any) -> dict[str, Any]:
    """A model's row as TrueUp has it; `changes` are of the plan, `pooling` of its embedding."""
    embedding = {
        "pooling": changes.pop("pooling", "mean"),
        "lower_case": False,
        "weights_digest": "sha256:w",
        "prompts": {},
        "default_prompt": None,
    }
    plan = {
        "model": {"id": name, "source": name, "digest": "sha256:1", "directory": "/m"},
        "implementation": "transformers.RobertaModel",
        "dtype": "float32",
        "context_tokens": 512,
        "embedding": embedding if kind == "embedding" else None,
        **changes,
    }
    return {"id": name, "trueup": {"kind": kind, "state": "ready", "plan": plan}}
