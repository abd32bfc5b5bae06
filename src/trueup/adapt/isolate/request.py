"""What an environment is asked to be, before anything is resolved: known without a network."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The lines to resolve, for a Python's minor version, a torch and this kind of machine.

    `torch` is the version with its local part that is shared or, where `shares_torch` is not so,
    the requirement that is installed, of the builds for CPUs if `torch_is_for_cpu`; `builds` are
    packages of which an index has no wheel.
    """

    python: str
    transformers: str
    requirements: tuple[str, ...]
    torch: str
    shares_torch: bool
    builds: tuple[str, ...] = ()
    torch_is_for_cpu: bool = False
    platform: str = f"{sys.platform}-{platform.machine()}"

    @property
    def digest(self) -> str:
        """By which a lock for it is found: 64 hexadecimal digits."""
        return digest_of({"format": FORMAT, **self.as_dict()})

    def as_dict(self) -> dict[str, Any]:
        """Its JSON shape."""
        return asdict(self)

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Request:
        """Read back what `as_dict` wrote, by way of JSON."""
        rest = dict(shape)
        return cls(
            requirements=tuple(rest.pop("requirements")), builds=tuple(rest.pop("builds")), **rest
        )


def digest_of(shape: Mapping[str, Any]) -> str:
    """SHA-256 over a JSON shape, however its keys are ordered."""
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
