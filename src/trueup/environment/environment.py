"""What is installed in an interpreter and what the machine has, as frozen facts.

Data only: `packages.py` and `hardware.py` read them, without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

# What the loader is written for and tested on.
OLDEST_TRANSFORMERS = Version("4.56.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter and its packages (normalised names to versions).

    `library_models` maps the model types that the installed transformers implements itself to
    their causal language model class (None where it has none), `library_bases` to the class
    without a head; both are empty where transformers is not installed or `is_assumed`: then
    `transformers` was given by the user and nothing is known but the version. `folders` says in
    which folder of the search path each package is.
    """

    python: str
    python_version: str
    packages: Mapping[str, str]
    library_models: Mapping[str, str | None] = field(default_factory=dict)
    library_bases: Mapping[str, str] = field(default_factory=dict)
    is_assumed: bool = False
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def transformers(self) -> Version | None:
        """The version of transformers, None where it is not installed."""
        text = self.packages.get("transformers")
        return Version(text) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What models can run on; unknown stays None."""

    cpu_count: int
    host_total_bytes: int
    host_available_bytes: int
    has_native_bf16: bool
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One CUDA device."""

    index: int
    name: str
    total_bytes: int | None
    free_bytes: int | None
