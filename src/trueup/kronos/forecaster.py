"""A loaded tokenizer and model: windows of bars in, sampled paths of bars out, in data units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.kronos.generating import Folded, History, Order, generate
from trueup.kronos.memory import refuse_too_large
from trueup.kronos.model import TIME_SIZES, Kronos
from trueup.kronos.sampling import Sampling
from trueup.kronos.tokenizer import KronosTokenizer
from trueup.protocol.candles import COLUMNS
from trueup.protocol.forecast import MODES, Mode

Floats = NDArray[np.float32] | NDArray[np.float64]
# Added to deviations, so that a constant column divides by something.
DEVIATION_FLOOR = 1e-5
CLIP = 5.0
NEVER: Callable[[], bool] = lambda: False  # noqa: E731


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One series, oldest bar first, in data units.

    `bars` [lookback, 6] are open, high, low, close, volume and amount; `past` [lookback, 5] and
    `future` [horizon, 5] minute, hour, weekday (Monday is 0), day and month.
    """

    bars: Floats
    past: NDArray[np.int64]
    future: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A window's bars in units of their deviations, and the way back."""

    bars: NDArray[np.float32]
    mean: NDArray[np.float32]
    unit: NDArray[np.float32]

    @classmethod
    def of(cls, bars: Floats, clip: float, where: str) -> Scaled:
        """Deviations over the whole window, in fp32 and in the published order of summation."""
        with np.errstate(over="ignore", invalid="ignore"):
            # Columns lie together as in the frames that the published code reads: the order in
            # which numpy sums follows the layout, and with it the last bit of the mean.
            columns = np.asfortranarray(bars, dtype=np.float32)
            mean, deviation = np.mean(columns, axis=0), np.std(columns, axis=0)
        if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
            raise RequestError(_unusable(columns), where=where, param="bars")
        unit = deviation + np.float32(DEVIATION_FLOOR)
        return cls(bars=np.clip((columns - mean) / unit, -clip, clip), mean=mean, unit=unit)

    def restored(self, bars: NDArray[np.float32]) -> NDArray[np.float32]:
        """Data units of normalised bars [..., 6]."""
        restored: NDArray[np.float32] = bars * self.unit + self.mean
        return restored


@dataclass(kw_only=True)
class Forecaster:
    """`context` is how many bars the model sees at once; the tokenizer sees the whole history.

    Weights are read at the first forecast: a model that is moved or trained on needs a new one.
    """

    model: Kronos
    tokenizer: KronosTokenizer
    context: int
    clip: float = CLIP
    _folded: Folded | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.model.eval()
        self.tokenizer.eval()

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self.model.norm.weight.device

    def sample(
        self,
        windows: Sequence[Window],
        horizon: int,
        *,
        samples: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int | None,
        mode: Mode = "exact",
        on_step: Callable[[int, NDArray[np.float32]], None] | None = None,
        is_cancelled: Callable[[], bool] = NEVER,
    ) -> NDArray[np.float32]:
        """Paths [series, samples, horizon, 6] in data units.

        `on_step` gets each step's number and bars [series, samples, 6] as they are decoded.
        `is_cancelled` is asked before every step; after a yes the paths end there. Without `seed`
        torch's own generator draws. Windows of one length draw as `predict_batch` of the published
        code does.

        Raises: RequestError for windows and numbers that cannot be used.
        """
        scaled, order = self._order(
            windows,
            horizon,
            samples=samples,
            sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p),
            seed=seed,
            mode=mode,
            on_step=on_step,
            is_cancelled=is_cancelled,
        )
        return _restored(scaled, self._paths(windows, scaled, order))

    def mean(
        self,
        windows: Sequence[Window],
        horizon: int,
        *,
        samples: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int | None,
        mode: Mode = "exact",
        is_cancelled: Callable[[], bool] = NEVER,
    ) -> NDArray[np.float32]:
        """[series, horizon, 6]: paths as of `sample`, their mean taken as the published code does.

        Raises: RequestError as `sample` does.
        """
        scaled, order = self._order(
            windows,
            horizon,
            samples=samples,
            sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p),
            seed=seed,
            mode=mode,
            on_step=None,
            is_cancelled=is_cancelled,
        )
        paths = self._paths(windows, scaled, order).float().cpu().numpy()
        return _in_data_units(scaled, np.mean(paths, axis=1))

    def _order(
        self,
        windows: Sequence[Window],
        horizon: int,
        *,
        samples: int,
        sampling: Sampling,
        seed: int | None,
        mode: Mode,
        on_step: Callable[[int, NDArray[np.float32]], None] | None,
        is_cancelled: Callable[[], bool],
    ) -> tuple[list[Scaled], Order]:
        _check(windows, horizon, samples, mode, self.context)
        refuse_too_large(
            self.model,
            self.context,
            [len(window.bars) for window in windows],
            horizon,
            samples,
            is_rolling=mode == "rolling",
        )
        scaled = [
            Scaled.of(window.bars, self.clip, f"series {number}")
            for number, window in enumerate(windows)
        ]

        def tell(step: int, bars: torch.Tensor) -> None:
            if on_step is not None:
                on_step(step, _restored(scaled, bars))

        return scaled, Order(
            horizon=horizon,
            samples=samples,
            sampling=sampling,
            context=self.context,
            rolling=mode == "rolling",
            generator=self._generator(seed),
            on_step=None if on_step is None else tell,
            is_cancelled=is_cancelled,
        )

    def _paths(
        self, windows: Sequence[Window], scaled: Sequence[Scaled], order: Order
    ) -> torch.Tensor:
        histories = [
            History(
                bars=torch.from_numpy(np.ascontiguousarray(s.bars)).to(self.device),
                stamps=torch.from_numpy(
                    np.concatenate((window.past, window.future)).astype(np.int64)
                ).to(self.device),
            )
            for window, s in zip(windows, scaled, strict=True)
        ]
        if self._folded is None:
            self._folded = Folded(self.model, self.tokenizer)
        return generate(self._folded, histories, order)

    def _generator(self, seed: int | None) -> torch.Generator | None:
        if seed is None:
            return None
        return torch.Generator(device=self.device).manual_seed(seed)


def _restored(scaled: Sequence[Scaled], bars: torch.Tensor) -> NDArray[np.float32]:
    return _in_data_units(scaled, bars.float().cpu().numpy())


def _in_data_units(scaled: Sequence[Scaled], bars: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised bars [series, …, 6] back in the units of each series."""
    return np.stack([each.restored(part) for each, part in zip(scaled, bars, strict=True)])


def _unusable(columns: NDArray[np.float32]) -> str:
    rows, places = np.nonzero(~np.isfinite(columns))
    if len(rows):
        found = columns[rows[0], places[0]]
        return f"{COLUMNS[places[0]]} of bar {rows[0]} is {found} as a 32-bit number"
    return "the deviation of a column is beyond 32-bit numbers: its values are too large"


def _check(windows: Sequence[Window], horizon: int, samples: int, mode: Any, context: int) -> None:
    if not windows:
        raise RequestError("there is no series to forecast", param="windows")
    for name, number in (("horizon", horizon), ("samples", samples)):
        if number < 1:
            raise RequestError(f"{name} is {number}, and must be 1 or more", param=name)
    if mode not in MODES:
        raise RequestError(f"mode is `{mode}`, and must be one of {', '.join(MODES)}", param="mode")
    if horizon > context and mode == "exact":
        raise RequestError(
            f"the horizon of {horizon} bars is beyond the model's context of {context}",
            param="horizon",
            hint=f"ask for {context} bars at most, or for the approximation of mode `rolling`",
        )
    for number, window in enumerate(windows):
        _check_window(window, horizon, f"series {number}")


def _check_window(window: Window, horizon: int, where: str) -> None:
    rows = len(window.bars)
    if window.bars.ndim != 2 or window.bars.shape[1] != len(COLUMNS) or not rows:
        raise RequestError(
            f"bars have the shape {list(window.bars.shape)}, and must be [1 or more, 6]",
            where=where,
            param="bars",
        )
    for name, stamps, wanted in (("past", window.past, rows), ("future", window.future, horizon)):
        if stamps.ndim != 2 or stamps.shape[1] != len(TIME_SIZES):
            raise RequestError(
                f"{name} has the shape {list(stamps.shape)}, and must be [bars, 5]",
                where=where,
                param=name,
            )
        if len(stamps) != wanted:
            raise RequestError(
                f"{name} has {len(stamps)} timestamps for {wanted} bars", where=where, param=name
            )
        for column, (part, size) in enumerate(TIME_SIZES.items()):
            found = stamps[:, column]
            if found.min() < 0 or found.max() >= size:
                raise RequestError(
                    f"{part} goes from {found.min()} to {found.max()}, beyond 0 to {size - 1}",
                    where=f"{where}, {name}",
                    param=name,
                )
