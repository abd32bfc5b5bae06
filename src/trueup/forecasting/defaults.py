"""What a forecast is made with where nobody says otherwise; imported without numpy."""

from __future__ import annotations

import importlib.util

from trueup.errors import ConfigError
from trueup.protocol import forecast

SAMPLES = forecast.DEFAULT_SAMPLES
QUANTILES = forecast.DEFAULT_QUANTILES
TEMPERATURE = 1.0
TOP_K = 0
TOP_P = 0.9
ORIGINS = 5

EXTRA = "pip install 'trueup[forecast]'"
BOTH_EXTRAS = "pip install 'trueup[forecast,torch]'"


def require(*packages: str) -> None:
    """Make sure that `packages` are installed.

    Raises: ConfigError.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(f'`{name}`' for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            where="the packages of this Python environment",
            hint=BOTH_EXTRAS if "torch" in missing else EXTRA,
        )
