"""TrueUp checks, runs, proves and serves open-weight models that break on your libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.errors import (
    AdaptError,
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    RequestError,
    TrueUpError,
    UsageError,
)

if TYPE_CHECKING:
    from trueup.adapt.own_process import load
    from trueup.forecasting.frame import forecast

__version__ = "0.1.0"

__all__ = [
    "AdaptError",
    "BackendError",
    "CapacityError",
    "CheckpointError",
    "ConfigError",
    "RequestError",
    "TrueUpError",
    "UsageError",
    "__version__",
    "forecast",
    "load",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # torch, transformers and numpy are imported by the first use, not by `import trueup`.
    if name == "load":
        from trueup.adapt.own_process import load

        return load
    if name == "forecast":
        from trueup.forecasting.frame import forecast

        return forecast
    raise AttributeError(f"module `trueup` has no attribute `{name}`")
