"""The configuration file's shape, version 1; `load.py` reads, `settings.py` is what comes out.

Field descriptions are for readers of the code; `example.yaml` is the manual.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from trueup.config.secret import Secret
from trueup.config.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    ModelSettings,
    ServerSettings,
    Settings,
)

CURRENT_VERSION = 1

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Filled = Annotated[str, StringConstraints(min_length=1)]


def _secret(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if not value.isascii() or not value.isprintable():
        raise ValueError("printable ASCII characters only")
    return Secret(value.strip())


class Section(BaseModel):
    """What all sections have in common: unknown keys are errors, types are meant."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class ServerSection(Section):
    """`server`."""

    host: Filled = DEFAULT_HOST
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    api_keys: list[Annotated[Secret, BeforeValidator(_secret)]] = []
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0


class ModelSection(Section):
    """One entry of `models`."""

    source: Filled
    revision: Filled | None = None
    kind: Literal["auto", "chat", "completion", "embedding"] = "auto"
    route: Literal["auto", "native", "fixed", "isolated"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    normalize: bool | None = None
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    pin: bool = False
    ttl_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 600.0


class Configuration(Section):
    """A whole file."""

    config_version: Literal[1]
    server: ServerSection = ServerSection()
    models: dict[Name, ModelSection] = {}

    def settings(self) -> Settings:
        """The same as plain facts."""
        server = self.server
        return Settings(
            server=ServerSettings(
                host=server.host,
                port=server.port,
                api_keys=tuple(server.api_keys),
                drain_seconds=server.drain_seconds,
            ),
            models=tuple(
                ModelSettings(name=name, **model.model_dump())
                for name, model in self.models.items()
            ),
        )
