"""What a server is told to do, wherever it was told: frozen facts with the defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trueup.config.limit_settings import LimitSettings
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.config.secret import Secret

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8484


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key that clients may send, kept as its SHA-256 alone; `profile` is that of its clients.

    Keys are random and long, so a plain hash cannot be guessed back.
    """

    sha256: bytes = field(repr=False)
    name: str = "key"
    profile: str | None = None

    @classmethod
    def of(cls, secret: Secret, *, name: str = "key", profile: str | None = None) -> ApiKey:
        """The key of a secret."""
        digest = hashlib.sha256(secret.reveal().encode()).digest()
        return cls(sha256=digest, name=name, profile=profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where to listen, who may ask, how much at a time, and how long answers finish at the end.

    `is_strict` refuses a request whose parameters would have to be dropped for a backend.
    `require_proof` serves no model of TrueUp's own that is not proven.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    api_keys: tuple[ApiKey, ...] = ()
    drain_seconds: float = 30.0
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 16 * 2**20
    max_header_bytes: int = 64 * 2**10
    max_requests: int = 1024
    access_log: Literal["text", "json", "off"] = "text"
    log_prompts: bool = False
    is_strict: bool = False
    require_proof: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProfile:
    """How a kind of client is answered when something went wrong.

    `error_events` false: an answer that cannot be completed is ended in order, with a
    finish_reason and `note`, because the client cannot bear an error inside a stream.
    `retry_seconds`: for how long a backend that fails is asked again where nobody else is left and
    nothing was delivered; three tries are made in any case.
    `patience_seconds`: how long after its start a request is still tried again.
    """

    name: str
    error_events: bool = True
    clamps_max_tokens: bool = False
    retry_seconds: float = 0.0
    patience_seconds: float = 180.0
    note: str = "[The answer is incomplete: {cause}]"


PROFILES: Mapping[str, ClientProfile] = {
    each.name: each
    for each in (
        ClientProfile(name="strict"),
        ClientProfile(
            name="langchain-chatchat",
            error_events=False,
            clamps_max_tokens=True,
            retry_seconds=15.0,
            patience_seconds=300.0,
        ),
    )
}
DEFAULT_PROFILE = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """A server that others run; what is None is left to the preset.

    `model` None asks it under the name that the client used. `ask_again` says whether a broken
    answer may be asked for a second time. `drop` names parameters that may be left out although
    that changes the answer; `unsupported` and `ignored` add to what the preset knows.
    """

    name: str
    url: str
    preset: str = "openai-compatible"
    model: str | None = None
    api_key: Secret | None = None
    kind: Literal["chat", "completion", "embedding"] = "chat"
    end_of_answer: Literal["finish_reason", "done", "end"] | None = None
    continuation: Literal["none", "continue_final_message", "prefix"] | None = None
    context_tokens: int | None = None
    ask_again: bool | None = None
    drop: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    limits: LimitSettings = field(default_factory=LimitSettings)
    place: str = field(default="", compare=False, repr=False)


AnyBackendSettings = BackendSettings | LlamaFactorySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One model that TrueUp runs itself; `name` None leaves the name to its source.

    `places` says where each key stands in the configuration file, `file:line: models.x.key`;
    the empty key is the model itself. Empty where no file told of the model. `pooling` auto and
    `normalize` None leave it to the model's own settings.
    """

    name: str | None
    source: str
    revision: str | None = None
    kind: Literal["auto", "chat", "completion", "embedding", "forecast"] = "auto"
    route: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    engine: str = "auto"
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    normalize: bool | None = None
    context_tokens: int | None = None
    tokenizer: str | None = None
    python: str | None = None
    pin: bool = False
    ttl_seconds: float | None = 600.0
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a role's answers have to reach; `trueup suite` measures it.

    None and () ask for nothing. `similarity_accuracy` is a share from 0 to 1. `prompts` and
    `pairs` are files, relative to the configuration's folder; `compare_with` is a served name.
    """

    answer_seconds: float | None = None
    first_token_seconds: float | None = None
    embedding_seconds: float | None = None
    similarity_accuracy: float | None = None
    languages: tuple[str, ...] = ()
    host_memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    prompts: tuple[str, ...] = ()
    pairs: str | None = None
    compare_with: str | None = None

    def as_dict(self) -> dict[str, object]:
        """What is asked for, and nothing else."""
        shape: dict[str, object] = {
            name: value
            for name in ("answer_seconds", "first_token_seconds", "embedding_seconds")
            if (value := getattr(self, name)) is not None
        }
        if self.similarity_accuracy is not None:
            shape["similarity_accuracy"] = self.similarity_accuracy
        for name in ("languages", "prompts"):
            if values := getattr(self, name):
                shape[name] = list(values)
        for name in ("host_memory_bytes", "device_memory_bytes", "pairs", "compare_with"):
            if (value := getattr(self, name)) is not None:
                shape[name] = value
        return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """A name for what is done: models and backends of `chain` are asked in turn.

    `place` is the line.
    """

    name: str
    chain: tuple[str, ...]
    acceptance: Acceptance = field(default_factory=Acceptance)
    place: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSettings:
    """Another name for the model or role `target`; `place` is the line."""

    name: str
    target: str
    place: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration."""

    server: ServerSettings = field(default_factory=ServerSettings)
    models: tuple[ModelSettings, ...] = ()
    backends: tuple[AnyBackendSettings, ...] = ()
    profiles: tuple[ClientProfile, ...] = ()
    roles: tuple[RoleSettings, ...] = ()
    aliases: tuple[AliasSettings, ...] = ()

    @property
    def further_names(self) -> tuple[RoleSettings | AliasSettings, ...]:
        """What clients may ask for beside the models."""
        return (*self.roles, *self.aliases)
