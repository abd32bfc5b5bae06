"""Words of the command line that several commands take, as argparse reads them."""

from __future__ import annotations

import argparse

from trueup.adapt.wishes import DEVICE


def device(word: str) -> str:
    """A device: auto, cpu, cuda or cuda:N."""
    if DEVICE.fullmatch(word) is None:
        raise argparse.ArgumentTypeError(f"`{word}` is no device: auto, cpu, cuda or cuda:N")
    return word


def url(word: str) -> str:
    """The URL of a server."""
    if not word.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"`{word}` does not begin with http:// or https://")
    return word
