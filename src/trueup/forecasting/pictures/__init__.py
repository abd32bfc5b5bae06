"""Pictures of forecasts: in a terminal, as a page of HTML that loads nothing, as PNG."""

from __future__ import annotations

from trueup.forecasting.pictures.chart import Chart
from trueup.forecasting.pictures.drawing import check_destination, draw

__all__ = ["Chart", "check_destination", "draw"]
