"""A headless Chromium for the tests, led over its DevTools protocol; its network is a dead end."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from matplotlib import image

PROGRAM = shutil.which("chromium") or "/usr/bin/chromium"
WIDTH, HEIGHT = 1200, 800
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    f"--window-size={WIDTH},{HEIGHT}",
    # Nothing listens on the port 9: what the browser asks for itself ends there, too.
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--remote-debugging-port=0",
)


@contextmanager
def running(profile: Path) -> Iterator[str]:
    """A browser; the address of its DevTools."""
    said = profile.with_name("chromium.log")
    with (
        said.open("wb") as log,
        subprocess.Popen(
            [PROGRAM, *OPTIONS, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        try:
            assert process.stderr is not None
            for line in process.stderr:
                log.write(line)
                if found := re.search(rb"DevTools listening on (ws://\S+)", line):
                    break
            else:
                raise AssertionError(f"chromium ended: {said.read_text()}")
            # Nobody reads on: a pipe that is full would hold the browser.
            process.stderr.close()
            yield found[1].decode()
        finally:
            process.kill()


class Page:
    """One page: what it asked the network for, what it complained of, what it shows."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._requests: dict[str, str] = {}
        self.complaints: list[str] = []
        self._loaded = asyncio.Event()

    @property
    def requests(self) -> list[str]:
        """What was asked for; what the page's own policy stopped is not among it."""
        return list(self._requests.values())

    async def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        while (answer := await self._receive()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    async def _receive(self) -> Any:
        message = await self._socket.receive_json()
        match message.get("method"):
            case "Network.requestWillBeSent":
                asked = message["params"]
                self._requests[asked["requestId"]] = asked["request"]["url"]
            case "Network.loadingFailed" if message["params"].get("blockedReason") == "csp":
                del self._requests[message["params"]["requestId"]]
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(str(message["params"]))
            case "Page.loadEventFired":
                self._loaded.set()
        return message

    async def open(self, path: Path, scheme: str = "light") -> None:
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            await self.send(f"{domain}.enable")
        await self.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        await self.send("Page.navigate", url=path.as_uri())
        while not self._loaded.is_set():
            await self._receive()
        await self.painted()

    async def painted(self) -> None:
        await self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    async def run(self, expression: str) -> Any:
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def point(self, x: float, y: float) -> None:
        await self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        await self.painted()

    async def picture(self) -> np.ndarray:
        """What is seen: [height, width, 3], from 0 to 1."""
        answer = await self.send("Page.captureScreenshot", format="png")
        written = io.BytesIO(base64.b64decode(answer["data"]))
        return image.imread(written, format="png")[..., :3]


@asynccontextmanager
async def new_page(devtools: str) -> AsyncIterator[Page]:
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(devtools, max_msg_size=0) as socket,
    ):
        yield Page(socket)
