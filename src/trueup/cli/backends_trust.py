"""`trueup backends trust-host`: show the SSH keys of a backend's host, ask, and write them down."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trueup.backends.llamafactory.opening import ssh_missing
from trueup.cli.backends_target import configured
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.backends.hosts.trust import Offer


async def trust_host(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Trust the host, and those on the way to it; 1 where somebody said no.

    Raises:
        UsageError: the backend has no host, or nobody can be asked.
        ConfigError: another key is known, or the file cannot be written.
        BackendError: the host cannot be reached.
    """
    hops = await _hops(arguments, environ)
    rows: list[dict[str, Any]] = []
    for hop in hops:
        state, offer = await _trusted(hop, arguments)
        rows.append(_row(offer, state))
        if state == "refused":
            break
    if arguments.format == "json":
        print(json.dumps({"schema_version": 1, "name": arguments.name, "hosts": rows}))
    return int(rows[-1]["state"] == "refused")


async def _hops(arguments: argparse.Namespace, environ: Mapping[str, str]) -> list[HostSettings]:
    command = "trueup backends trust-host"
    settings, _ = configured(arguments.name, arguments.config, environ, command=command)
    if not isinstance(settings, LlamaFactorySettings) or settings.ssh is None:
        raise UsageError(
            f"`{settings.name}` has no `host`: it is not reached over SSH",
            where=settings.place,
            hint="add the line `host: NAME` below it, if it runs on another machine",
        )
    try:
        from trueup.backends.hosts.trust import hops_of
    except ImportError as error:
        raise ssh_missing(settings) from error
    return await hops_of(settings.ssh)


async def _trusted(hop: HostSettings, arguments: argparse.Namespace) -> tuple[str, Offer]:
    from trueup.backends.hosts.known_hosts import trust
    from trueup.backends.hosts.trust import offer_of

    offer = await offer_of(hop)
    if offer.is_known:
        _tell(f"{_address(offer)} is trusted already (in {offer.path})")
        return "known", offer
    _tell("\n".join(_lines(offer)))
    if offer.is_changed and not arguments.replace:
        raise ConfigError(
            f"THE HOST KEY OF {_address(offer)} HAS CHANGED: {' or '.join(offer.known)} is known",
            where=str(offer.path),
            hint="ask who runs that host. Only where the change was meant: --replace",
        )
    if not arguments.yes and not await asyncio.to_thread(_is_wanted, offer):
        _tell("nothing was changed")
        return "refused", offer
    trust(offer.path, offer.host, offer.port, offer.keys)
    _tell(f"written to {offer.path}")
    return "trusted", offer


def _is_wanted(offer: Offer) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"nobody can be asked whether {_address(offer)} is to be trusted: stdin is no terminal",
            hint="compare the fingerprints above with the host's own, then: --yes",
        )
    print("Are these its keys? Trust it [y/N]: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _lines(offer: Offer) -> list[str]:
    width = max(len(key.algorithm) for key in offer.keys)
    rows = [f"  {key.algorithm:{width}}  {key.fingerprint}" for key in offer.keys]
    how = "compare them on that host: for f in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $f; done"
    return [f"{_address(offer)} shows these keys:", *rows, how]


def _row(offer: Offer, state: str) -> dict[str, Any]:
    keys = [{"algorithm": key.algorithm, "fingerprint": key.fingerprint} for key in offer.keys]
    return {
        "host": offer.host,
        "port": offer.port,
        "keys": keys,
        "state": state,
        "file": str(offer.path),
    }


def _address(offer: Offer) -> str:
    return f"{offer.host}:{offer.port}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
