"""An upstream whose streams are all open at once: nobody gets a word before all have asked.

A process; its arguments are how many that are, and the pause between two pieces in seconds. The
last message says what is answered: `NUMBER PIECES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

BACKLOG = 1024


def piece_of(number: int, at: int) -> str:
    """The text of one chunk of one stream: no two are alike."""
    return f"流{number}.{at} "


def text_of(number: int, pieces: int) -> str:
    """The whole text of one stream."""
    return "".join(piece_of(number, at) for at in range(pieces))


class Trickling:
    """Streams that wait for each other once, then trickle apart from each other."""

    def __init__(self, count: int, pause: float) -> None:
        self._count = count
        self._pause = pause
        self._asked = 0
        self._all_asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    continue
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                asked = json.loads(await reader.readexactly(length))
                number, pieces = map(int, asked["messages"][-1]["content"].split())
                await self._stream(writer, number, pieces)
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, number: int, pieces: int) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        await self._together()
        for at in range(pieces):
            delta = {"role": "assistant"} if at == 0 else {}
            self._write(writer, number, {**delta, "content": piece_of(number, at)}, None)
            await writer.drain()
            # Spread over the pause, not all in one moment.
            share = number / self._count if at == 0 else 1.0
            await asyncio.sleep(self._pause * share)
        self._write(writer, number, {}, "stop")
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    async def _together(self) -> None:
        self._asked += 1
        all_asked = self._all_asked
        if self._asked == self._count:
            all_asked.set()
            self._asked, self._all_asked = 0, asyncio.Event()  # for the next time
        await all_asked.wait()

    @staticmethod
    def _write(writer: asyncio.StreamWriter, number: int, delta: Any, reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1,
                 "model": "m", "choices": [choice]}  # fmt: skip
        event = b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))


async def main(count: int, pause: float) -> None:
    trickling = Trickling(count, pause)
    server = await asyncio.start_server(trickling.serve, "127.0.0.1", 0, backlog=BACKLOG)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
