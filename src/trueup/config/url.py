"""The URL of a server that others run: what is wrong with it, and whether others can listen."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

EXAMPLE = "http://127.0.0.1:8000/v1"
SCHEMES = ("http", "https")


def url_trouble(text: str) -> tuple[str, str | None] | None:
    """Cause and hint of a URL that cannot be used, without what may be a key in it."""
    parts = _parts(text)
    if parts is not None and ("@" in parts.netloc or parts.query or parts.fragment):
        # Not repeated: it may hold a key.
        what = "a user name or a password" if "@" in parts.netloc else "more than a path"
        hint = "write the key as `api_key: ${env.NAME}`, and the URL without it"
        return f"the URL of `{parts.hostname or '…'}` carries {what}", hint
    if parts is None or parts.scheme not in SCHEMES or not parts.hostname:
        shown = "the value" if "@" in text or "?" in text else f"`{text[:80]}`"
        hint = f"for example: {EXAMPLE}"
        if "://" not in text and (again := _parts(f"http://{text}")) and "@" not in text:
            hint = f"write `http://{text}`" if again.hostname and not again.query else hint
        return f"{shown} is not the URL of a server, expected `http://` or `https://`", hint
    return None


def is_encrypted_or_near(url: str) -> bool:
    """Whether what is sent there can be read on no network: TLS, or this machine itself."""
    parts = _parts(url)
    return parts is None or parts.scheme == "https" or is_loopback(parts.hostname or "")


def _parts(text: str) -> SplitResult | None:
    """None where it is no URL at all."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    has_gaps = any(each.isspace() or not each.isprintable() for each in text)
    return None if has_gaps or port == 0 else parts


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by a name or an address that never leaves it."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
