"""Who may ask: holders of a key; without keys, programs of this machine alone.

Also what the key or the headers say about how to answer: the client's profile, strictness.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from trueup.config.settings import DEFAULT_PROFILE, PROFILES, ApiKey, ClientProfile
from trueup.config.url import is_loopback
from trueup.errors import ConfigError, RequestError
from trueup.gateway.cors import Cors
from trueup.gateway.exchange import Exchange

OPEN_PATHS = frozenset({"/health", "/ready", "/version"})
PROFILE_HEADER = "x-trueup-profile"
STRICT_HEADER = "x-trueup-strict"
BOOLEANS = {"true": True, "false": False}
# Not urlsplit: it reads `127.0.0.1@…`, `…#@127.0.0.1` and the like in its own way.
AUTHORITY = re.compile(
    r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{0,5})?", re.ASCII | re.IGNORECASE
)
ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{AUTHORITY.pattern})", re.ASCII | re.IGNORECASE)


class Access:
    """Checks requests against `api_keys`; an empty sequence means that there is no key.

    `profiles` are those that keys and headers may name; `is_strict` holds for every request.
    """

    def __init__(
        self,
        api_keys: Sequence[ApiKey],
        profiles: Mapping[str, ClientProfile] = PROFILES,
        *,
        cors_origins: Sequence[str] = (),
        is_strict: bool = False,
    ) -> None:
        self.cors = Cors(cors_origins)
        self._keys = tuple(api_keys)
        self._profiles = {**PROFILES, **profiles}
        self._is_strict = is_strict
        for key in self._keys:
            if key.profile is not None and key.profile not in self._profiles:
                raise ConfigError(
                    f"the key `{key.name}` has the profile `{key.profile}`, expected one of "
                    f"{self._known_profiles()}",
                    where="server.api_keys",
                )

    def check_host(self, host: str) -> None:
        """See that a server without a key is offered neither to the network nor to all pages.

        Raises:
            ConfigError: it would be.
        """
        if self._keys:
            return
        if not is_loopback(host):
            raise ConfigError(
                f"`{host}` can be reached from other machines and no key is set",
                where="server.host",
                hint="set TRUEUP_API_KEY, or leave the host at 127.0.0.1",
            )
        if self.cors.allows_any:
            raise ConfigError(
                "the pages of every site may ask and no key is set",
                where="server.cors_origins",
                hint="set TRUEUP_API_KEY, or name the origins instead of `*`",
            )

    def check(self, exchange: Exchange) -> None:
        """Let a request pass or not, and note on it how its client wants to be answered.

        Raises:
            RequestError: 401 for a missing or wrong key, 403 for a web page's request, 400 for
                a profile that does not exist.
        """
        if not self._keys:
            self._check_page(exchange)
            profile = DEFAULT_PROFILE
        elif exchange.path in OPEN_PATHS:
            return
        else:
            key = self._key(exchange)
            exchange.key_name = key.name
            profile = key.profile or DEFAULT_PROFILE
        exchange.profile = self._profile(exchange.header(PROFILE_HEADER) or profile)
        exchange.is_strict = self._is_strict or _is_strict(exchange)

    def _key(self, exchange: Exchange) -> ApiKey:
        scheme, _, given = (exchange.header("authorization") or "").partition(" ")
        key = given.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
        digest = hashlib.sha256(key).digest()
        # Every key is compared: the time taken says nothing about which one was near.
        found = [each for each in self._keys if hmac.compare_digest(digest, each.sha256)]
        if not found or not key:
            raise RequestError(
                "the API key is not one of this server's" if key else "no API key is given",
                code="invalid_api_key",
                status=401,
                where="Authorization",
                hint="send `Authorization: Bearer KEY`; its operator has set KEY as TRUEUP_API_KEY "
                "or in `server.api_keys`",
            )
        return found[0]

    def _check_page(self, exchange: Exchange) -> None:
        """A page in the user's browser reaches loopback ports; what its browser adds tells."""
        for host in exchange.headers_named("host"):
            if not _names_loopback(AUTHORITY, host):
                raise _foreign("Host", host)
        origins = exchange.headers_named("origin")
        for origin in origins:
            if not _names_loopback(ORIGIN, origin) and not self.cors.allows(origin):
                raise _foreign("Origin", origin)
        # Images and links of other sites come without an Origin.
        if not origins and exchange.header("sec-fetch-site") == "cross-site":
            raise _foreign("Sec-Fetch-Site", "cross-site")

    def _profile(self, name: str) -> ClientProfile:
        found = self._profiles.get(name)
        if found is None:
            raise RequestError(
                f"there is no profile `{name}`, expected one of {self._known_profiles()}",
                code="unknown_profile",
                where="X-TrueUp-Profile",
            )
        return found

    def _known_profiles(self) -> str:
        return ", ".join(f"`{each}`" for each in sorted(self._profiles))


def _names_loopback(form: re.Pattern[str], stated: str) -> bool:
    found = form.fullmatch(stated.strip())
    return found is not None and is_loopback(found[1] or found[2])


def _is_strict(exchange: Exchange) -> bool:
    stated = exchange.header(STRICT_HEADER)
    if stated is None:
        return False
    if stated.lower() not in BOOLEANS:
        raise RequestError(
            f"the header `X-TrueUp-Strict` is `{stated}`, expected `true` or `false`",
            where="X-TrueUp-Strict",
        )
    return BOOLEANS[stated.lower()]


def _foreign(header: str, stated: str) -> RequestError:
    return RequestError(
        f"the header `{header}` is `{stated}`; without a key only programs of this machine may ask",
        code="forbidden_origin",
        status=403,
        where=header,
        hint="set TRUEUP_API_KEY for the server and send it as the key"
        + (", or name the page's origin in `server.cors_origins`" if header == "Origin" else ""),
    )
