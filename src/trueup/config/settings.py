"""What a server is told to do, wherever it was told: frozen facts with the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trueup.config.secret import Secret

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8484


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where to listen, who may ask, and how long to let answers finish at the end."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    api_keys: tuple[Secret, ...] = ()
    drain_seconds: float = 30.0


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
    kind: Literal["auto", "chat", "completion", "embedding"] = "auto"
    route: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    engine: str = "auto"
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    normalize: bool | None = None
    context_tokens: int | None = None
    pin: bool = False
    ttl_seconds: float | None = 600.0
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a role's answers have to reach; kept and shown, measured by nothing yet.

    None and () ask for nothing. `similarity_accuracy` is a share from 0 to 1.
    """

    answer_seconds: float | None = None
    first_token_seconds: float | None = None
    embedding_seconds: float | None = None
    similarity_accuracy: float | None = None
    languages: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """What is asked for, and nothing else."""
        shape: dict[str, object] = {
            name: value
            for name in ("answer_seconds", "first_token_seconds", "embedding_seconds")
            if (value := getattr(self, name)) is not None
        }
        if self.similarity_accuracy is not None:
            shape["similarity_accuracy"] = self.similarity_accuracy
        if self.languages:
            shape["languages"] = list(self.languages)
        return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """A name for what is done: the first healthy model of `chain` answers; `place` is the line."""

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
    roles: tuple[RoleSettings, ...] = ()
    aliases: tuple[AliasSettings, ...] = ()

    @property
    def further_names(self) -> tuple[RoleSettings | AliasSettings, ...]:
        """What clients may ask for beside the models."""
        return (*self.roles, *self.aliases)
