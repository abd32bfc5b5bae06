"""`user@host:port`, as it is written for a host over SSH and for one on the way to it."""

from __future__ import annotations

from trueup.errors import ConfigError


def split_address(text: str, where: str) -> tuple[str | None, str, int | None]:
    """The user, the host and the port; what is not said is None, and `[…]` is about an IPv6 host.

    Raises: ConfigError where a host is missing, or the port is no number.
    """
    user, _, address = text.strip().rpartition("@")
    host, _, port = address.rpartition(":")
    # Colons in what is left: an IPv6 address alone.
    if not host or (":" in host and not host.endswith("]")):
        host, port = address, ""
    if port and not port.isdecimal():
        raise ConfigError(f"`{text}` names no port, expected user@host:port", where=where)
    if not host.strip("[]"):
        raise ConfigError(f"`{text}` names no host, expected user@host:port", where=where)
    return user or None, host.strip("[]"), int(port) if port else None
