"""HTTP/1.1 on one connection: uvicorn's protocol over httptools, with bounds of our own.

httptools parses fast and keeps whatever it is sent. Here heads are bounded in bytes and in time,
bodies that nobody reads in time, and a request line that is no HTTP never cuts an answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trueup.errors import RequestError
from trueup.events import RequestRefused, emit
from trueup.gateway.closing import Closing
from trueup.gateway.cycle import Cycle, closing_response, place
from trueup.gateway.exchange import WIRE

DEFAULT_HEADER_BYTES = 64 * 2**10
# From the connection, or the first byte of a request, to the end of its headers.
HEAD_SECONDS = 20.0
# Longer than clients keep a connection that they do not use: who closes first must be they,
# or a request crosses our closing and fails.
IDLE_SECONDS = 75
# For the rest of a body after its answer, and for a client to read why it was refused.
LINGER_SECONDS = 2.0
# Requests that wait for the one before them; while more are not read, leaving is not seen.
MAX_PIPELINED = 8
FRAMING = (b"content-length", b"transfer-encoding")


class Protocol(HttpToolsProtocol):
    """One connection; all its methods are called by the event loop or the parser."""

    cycle: Cycle

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # The option's name is that of uvicorn's other parser; it means the same.
        stated = self.config.h11_max_incomplete_event_size
        self._max_bytes = DEFAULT_HEADER_BYTES if stated is None else stated
        # Since the last end of a head or piece of a body, before and with the piece at hand.
        self._unused_bytes = self._seen_bytes = 0
        self._is_used = self._is_in_head = self._is_refused = False
        self._is_resuming = False
        self._refusal: bytes | None = None
        self.url = b""
        self._running: Cycle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, not for ever."""
        super().connection_made(transport)
        self._closing = Closing(self.loop, transport)
        self._set_deadline(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request of the connection: also the one that runs while others wait."""
        self._unset_deadline()
        self._unset_keepalive_if_required()
        self._closing.closed()
        for cycle in (self._running, *(each for each, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cast("Cycle", cycle).leave()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the bounds."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._is_used = False
        self._seen_bytes = self._unused_bytes + len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(400, "the request is not HTTP/1.1")
            return
        if self._is_refused:
            return
        self._unused_bytes = 0 if self._is_used else self._seen_bytes
        if self._unused_bytes > self._max_bytes:
            self._refuse_length()
        elif self._is_in_head or self._is_idle:
            self._set_deadline(HEAD_SECONDS)

    def _feed(self, data: bytes) -> None:
        while data and self.parser is not None and not self._is_refused:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Some clients offer HTTP/2 with every request. It is not taken up, so what
                # follows is a body still, for which the parser has to be told of it anew.
                data = data[cast("int", upgrade.args[0]) :]
                if framing := self._framing():
                    self._is_resuming = True
                    self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
                    self._is_resuming = False
            else:
                return

    def send_400_response(self, msg: str) -> None:
        """Refuse in our own way, whoever asks for it."""
        self._refuse(400, msg)

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._is_resuming:
            super().on_message_begin()
            self._is_in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a body are left out."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or have it wait for the one before it."""
        self._is_in_head, self._is_used = False, True
        self._unset_deadline()
        if self._is_refused or self._is_resuming:
            return
        if self._seen_bytes > self._max_bytes and self._head_bytes() > self._max_bytes:
            self._refuse_length()
            return
        version, scope = self.parser.get_http_version(), self.scope
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (version == "1.1" and hosts == 0):
            self._refuse(400, f"{hosts} headers `Host`, expected 1")
            return
        place(scope, self.url, method=self.parser.get_method(), version=version)
        before, cycle = self.cycle, self._cycle(version)
        self.cycle = cycle
        cast("dict[str, Any]", scope)["extensions"] = {WIRE: cycle}
        if before is None or before.response_complete:
            self._start(cycle)
        else:
            self.pipeline.appendleft((cycle, self.app))
            if len(self.pipeline) >= MAX_PIPELINED:
                self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body until the application reads it."""
        self._is_used = True
        if self._is_refused or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole, read or not."""
        if self._is_refused or (self.parser.should_upgrade() and self._framing()):
            return
        self.cycle.more_body = False
        self._unset_deadline()
        if self.cycle.response_complete:
            if self.cycle.keep_alive:
                self._wait_for_next()
            else:
                self._closing.close()
        else:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Start the request that waited, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._closing.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(cast("Cycle", self.pipeline.pop()[0]))
        elif self._refusal is not None:
            self._say_refusal()
        elif self.cycle.more_body:
            if not self.cycle.keep_alive and self.transport.can_write_eof():
                self.transport.write_eof()
            self._set_deadline(LINGER_SECONDS)
        elif not self._is_in_head:
            self._wait_for_next()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or (
            self.cycle.response_complete and self.timeout_keep_alive_task is None
        )

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _framing(self) -> bytes:
        return b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] in FRAMING)

    def _cycle(self, version: str) -> Cycle:
        return Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )

    def _start(self, cycle: Cycle) -> None:
        self._running = cycle
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _wait_for_next(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        """A head or the rest of a body did not come: end it, after the answer under way."""
        self._deadline = None
        if self._is_answering:
            self._is_refused, self._refusal = True, b""
        else:
            self._closing.close()

    def timeout_keep_alive_handler(self) -> None:
        """No other request came."""
        self._closing.close()

    @property
    def _is_answering(self) -> bool:
        running = self._running
        return not (running is None or running.response_complete or running.disconnected)

    def _refuse_length(self) -> None:
        if not self._is_in_head and self.cycle is not None and self.cycle.more_body:
            self._refuse(400, "the framing of the body is longer than any body needs")
        elif len(self.url) > self._max_bytes // 2:
            self._refuse(414, f"the request line is longer than {self._max_bytes} bytes")
        else:
            hint = "send less, or the operator raises `server.max_header_bytes`"
            self._refuse(431, f"the headers are longer than {self._max_bytes} bytes", hint)

    def _refuse(self, status: int, cause: str, hint: str | None = None) -> None:
        """Read no more; tell why when the answers under way are whole."""
        if self._is_refused:
            return
        self._is_refused = True
        self._refusal = closing_response(
            RequestError(cause, code="bad_http", status=status, hint=hint)
        )
        emit(
            RequestRefused(
                at_seconds=time.monotonic(), request_id="", status=status, code="bad_http"
            )
        )
        cycle = self.cycle
        if cycle is not None and cycle.more_body:  # it is this body that cannot go on
            if cycle.response_started:
                self._refusal = b""
            cycle.leave()
            if self.pipeline and self.pipeline[0][0] is cycle:  # it waits, and never starts now
                self.pipeline.popleft()
        if not self._is_answering:
            self._say_refusal()

    def _say_refusal(self) -> None:
        """Closed at once the kernel would reset the connection, and the reason would be lost."""
        said, self._refusal = self._refusal, None
        if said and not self.transport.is_closing():
            self.transport.write(said)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._unset_deadline()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self._closing.close)
