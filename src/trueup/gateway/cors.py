"""Which web pages may read answers: those of the origins that were named, and no others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trueup.errors import RequestError
from trueup.gateway.exchange import Exchange

ANY = "*"
METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
# What a page may read of an answer beside its body.
EXPOSED = (
    "X-Request-Id, Retry-After, X-TrueUp-Backend, X-TrueUp-Tries, X-TrueUp-Dropped, "
    "X-TrueUp-Continuations"
)
# Clients send names of their own (the SDK's telemetry): what is asked for is granted.
SANE_NAMES = re.compile(r"[\w!#$%&'*+.^`|~, -]{1,1000}", re.ASCII)
PREFLIGHT_SECONDS = 600


class Cors:
    """`origins` as browsers send them, `https://board.example`; empty switches it all off."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self.allows_any = ANY in origins
        self._origins = frozenset(each.lower().rstrip("/") for each in origins)

    def allows(self, origin: str) -> bool:
        """Whether pages of that origin may ask and read."""
        return self.allows_any or origin.lower() in self._origins

    def add_headers(self, exchange: Exchange) -> None:
        """Let the page that asks read the answer, where it may; errors are answers too."""
        if not self._origins:
            return
        exchange.add_header("vary", "Origin")
        origin = exchange.header("origin")
        if origin is not None and self.allows(origin):
            exchange.add_header("access-control-allow-origin", origin)
            exchange.add_header("access-control-expose-headers", EXPOSED)

    async def answer_preflight(self, exchange: Exchange) -> bool:
        """Answer what a browser asks before it sends; it has no key to show yet.

        False: it is none.

        Raises:
            RequestError: 403, it is of an origin whose pages may not ask.
        """
        origin = exchange.header("origin")
        if (
            exchange.method != "OPTIONS"
            or origin is None
            or exchange.header("access-control-request-method") is None
        ):
            return False
        if not self.allows(origin):
            raise RequestError(
                f"pages of `{origin}` may not ask here",
                code="forbidden_origin",
                status=403,
                where="Origin",
                hint="the server's operator can name it in `server.cors_origins`",
            )
        headers = [
            ("access-control-allow-methods", METHODS),
            ("access-control-max-age", str(PREFLIGHT_SECONDS)),
        ]
        asked = exchange.header("access-control-request-headers")
        if asked is not None and SANE_NAMES.fullmatch(asked):
            headers.append(("access-control-allow-headers", asked))
        if exchange.header("access-control-request-private-network") == "true":
            headers.append(("access-control-allow-private-network", "true"))
        await exchange.start(204, headers)
        await exchange.write(b"", more=False)
        return True
