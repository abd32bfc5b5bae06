"""Plan: how one model will be run, decided before anything is loaded.

The shape, its JSON form and its reading back (a worker gets it as a line on stdin).
`planning.py` makes plans; `load.py` carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PlanRoute = Literal["native", "fixed", "isolated", "refused"]
Kind = Literal["chat", "completion", "embedding", "forecast"]
Consent = Literal["not needed", "needed", "given"]
Pooling = Literal["mean", "cls", "last"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """Which checkpoint is meant; `directory` is the resolved local directory."""

    id: str
    source: str
    revision: str | None
    digest: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the model will need, estimated from headers and config; bytes."""

    weights_bytes: int
    kv_bytes_per_1k_tokens: int
    overhead_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """Where the plan's result may differ from what was published, and by how much."""

    code: str
    text: str


# How far a proof goes: what serves was loaded and asked, or only gone through in parts.
LOADED, IN_LAYERS = "loaded", "layer by layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is known about the plan's faithfulness.

    `record` is the file of the record that holds; `reason` is why a proof failed, or what made
    an older record void. `tried` says how far the record goes: `longest_tokens` of the model's
    `context_tokens`, whether it went `layer_by_layer`, and its `extent`: `loaded` where the load
    that serves was asked, else `layer by layer`.
    """

    state: Literal["unproven", "proven", "failed"] = "unproven"
    record: str | None = None
    reason: str | None = None
    tried: Mapping[str, Any] | None = None

    @property
    def is_of_load(self) -> bool:
        """Whether it is proven of the load itself, not of its parts alone."""
        return self.state == "proven" and (self.tried or {}).get("extent") == LOADED


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How far vectors in the plan's dtype are from fp32's, measured on this machine.

    Over `texts` texts of our own: the smallest and the mean cosine, and the largest difference
    of any number in a vector of length 1.
    """

    cosine_min: float
    cosine_mean: float
    difference_max: float
    texts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPlan:
    """How hidden states become one vector.

    `prompts` are the model's own, by name; `default_prompt` is put before every text. `deviation`
    is None in fp32, and elsewhere until the first load has measured it. `artifact` is the folder
    where a converted model is kept. `weights_digest` is over every byte of the weights; vectors
    of two models are comparable only where it is the same.
    """

    pooling: Pooling
    normalize: bool
    dimensions: int
    lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    deviation: Deviation | None = None
    artifact: str | None = None
    weights_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPlan:
    """How candles are forecast: `tokenizer` turns bars into tokens and back.

    It has a directory of its own, found when the plan is made: a worker has no network.
    """

    tokenizer: PlannedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model will be run; printable before anything is loaded.

    `mapped` tells in words what a native route changes in names and config;
    `findings` are the codes of what the route avoids; `context_tokens` is the longest
    sequence that the model was made for, None where its config does not say; `embedding` is
    there for kind `embedding` alone, `forecast` for kind `forecast`. `code` is the hash of the
    model's own code where that runs and may run. `other_route` would run what the route that was
    asked for does not.
    """

    model: PlannedModel
    route: PlanRoute
    why: tuple[str, ...]
    family: str | None
    implementation: str | None
    kind: Kind
    dtype: str
    device: str
    engine: str = "torch"
    fixes: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    environment: Mapping[str, Any] | None = None
    memory: Memory
    caveats: tuple[Caveat, ...] = ()
    findings: tuple[str, ...] = ()
    consent: Consent = "not needed"
    proof: Proof = field(default_factory=Proof)
    context_tokens: int | None = None
    embedding: EmbeddingPlan | None = None
    forecast: ForecastPlan | None = None
    code: str | None = None
    other_route: PlanRoute | None = None
    schema_version: int = SCHEMA_VERSION

    def as_dict(self) -> dict[str, Any]:
        """The plan in its JSON shape."""
        return asdict(self)

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Plan:
        """Read back what `as_dict` wrote, possibly by way of JSON."""
        rest = dict(shape)
        embedding = rest.pop("embedding", None)
        if embedding is not None:
            deviation = embedding["deviation"]
            measured = None if deviation is None else Deviation(**deviation)
            embedding = EmbeddingPlan(**{**embedding, "deviation": measured})
        forecast = rest.pop("forecast", None)
        if forecast is not None:
            forecast = ForecastPlan(tokenizer=PlannedModel(**forecast["tokenizer"]))
        return cls(
            model=PlannedModel(**rest.pop("model")),
            memory=Memory(**rest.pop("memory")),
            caveats=tuple(Caveat(**caveat) for caveat in rest.pop("caveats")),
            proof=Proof(**rest.pop("proof")),
            why=tuple(rest.pop("why")),
            fixes=tuple(rest.pop("fixes")),
            mapped=tuple(rest.pop("mapped")),
            findings=tuple(rest.pop("findings")),
            embedding=embedding,
            forecast=forecast,
            **rest,
        )
