"""A model server that costs next to nothing: fixed answers, whole or as a hundred chunks.

`python -m benchmarks.gateway.upstream PORT`. Raw asyncio, so that it is faster than what is
measured in front of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

WORDS = 100
PAUSE_SECONDS = 0.001
# A role chunk, the words, a finish chunk and [DONE].
EVENTS = WORDS + 3


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    shape: dict[str, Any] = {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(shape).encode() + b"\n\n"


CHUNKS = [
    _chunk({"role": "assistant", "content": ""}),
    *(_chunk({"content": " word"}) for _ in range(WORDS)),
    _chunk({}, "stop"),
    b"data: [DONE]\n\n",
]
WHOLE = json.dumps(
    {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": " word" * 20},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 25, "completion_tokens": 20, "total_tokens": 45},
    }
).encode()
MODELS = b'{"object":"list","data":[{"id":"m","object":"model"}]}'
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until it closes."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = 0
            if b"content-length:" in head:
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if head.startswith(b"get"):
                writer.write(JSON_HEAD % len(MODELS) + MODELS)
            elif b'"stream":true' in body.replace(b" ", b""):
                writer.write(STREAM_HEAD)
                for chunk in CHUNKS:
                    writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    await asyncio.sleep(PAUSE_SECONDS)
                writer.write(b"0\r\n\r\n")
            else:
                writer.write(JSON_HEAD % len(WHOLE) + WHOLE)
    writer.close()


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
