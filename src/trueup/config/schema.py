"""The configuration file's shape, version 1; `load.py` reads, `settings.py` is what comes out.

The descriptions are what editors show: `schema.json` is made from this module. `example.yaml` is
the manual.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from trueup.config.secret import HIDDEN, Secret
from trueup.config.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Acceptance,
    AliasSettings,
    ModelSettings,
    RoleSettings,
    ServerSettings,
    Settings,
)

CURRENT_VERSION = 1

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Filled = Annotated[str, StringConstraints(min_length=1)]
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _secret(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if not value.isascii() or not value.isprintable():
        raise ValueError("printable ASCII characters only")
    if value.strip() == HIDDEN:
        raise ValueError(f"a key, not the `{HIDDEN}` that `trueup config show` prints for one")
    return Secret(value.strip())


class Section(BaseModel):
    """What all sections have in common: unknown keys are errors, types are meant."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class ServerSection(Section):
    """Where to listen, who may ask, and how it ends."""

    host: Filled = Field(
        default=DEFAULT_HOST,
        description="The address to listen on. Anything but a loopback address needs a key.",
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="The port; 0 takes a free one."
    )
    api_keys: list[
        Annotated[Secret, BeforeValidator(_secret), WithJsonSchema({"type": "string"})]
    ] = Field(
        default=[],
        description="Keys that clients may send as `Authorization: Bearer KEY`. TRUEUP_API_KEY, "
        "where it is set, is one more. Write `${env.NAME}` to keep a key out of the file.",
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0,
        allow_inf_nan=False,
        description="How long running answers may take to finish when the server is told to stop.",
    )


class ModelSection(Section):
    """A model that TrueUp runs itself."""

    source: Filled = Field(
        description="A directory, a hub id in the local cache, or `demo`.",
    )
    revision: Filled | None = Field(
        default=None,
        description="The commit, tag or branch of a hub id; null is the cached `main`.",
    )
    kind: Literal["auto", "chat", "completion", "embedding"] = Field(
        default="auto", description="What it answers; auto goes by its architecture."
    )
    route: Literal["auto", "native", "fixed", "isolated"] = Field(
        default="auto",
        description="How it is run; fixed and isolated are refused in this version.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        default="auto",
        description="The type of its numbers. auto: the file's own on a GPU; on a CPU bfloat16 "
        "where the processor computes it natively, else float32. int8 is for embeddings on a CPU.",
    )
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = Field(
        default="auto", description="auto, cpu, cuda or cuda:N."
    )
    engine: Literal["auto", "torch", "onnxruntime"] = Field(
        default="auto", description="What runs it; int8 runs on onnxruntime."
    )
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        default="auto",
        description="Embeddings: how a text's tokens become one vector; auto is the model's own.",
    )
    normalize: bool | None = Field(
        default=None,
        description="Embeddings: whether vectors have length 1; null is the model's own setting.",
    )
    context_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The longest prompt and answer together; null is what the model was made for.",
    )
    pin: bool = Field(default=False, description="true: once loaded it is never unloaded.")
    ttl_seconds: Seconds | None = Field(
        default=600.0, description="Seconds without a request until it is unloaded; null is never."
    )


class AcceptanceSection(Section):
    """What the answers of a role have to reach. It is kept and shown; nothing measures it yet."""

    answer_seconds: Seconds | None = Field(
        default=None, description="The longest time of a whole answer."
    )
    first_token_seconds: Seconds | None = Field(
        default=None, description="The longest time until an answer begins."
    )
    embedding_seconds: Seconds | None = Field(
        default=None, description="The longest time of a request for embeddings."
    )
    similarity_accuracy: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The least share of pairs that are told rightly as alike or not: 0.85 is 85 %.",
    )
    languages: list[Language] = Field(
        default=[], description="The languages it has to answer in, such as zh and en."
    )


class RoleSection(Section):
    """A name for what is done; clients ask for it as for a model."""

    chain: list[Filled] = Field(
        min_length=1,
        description="Names under `models`; the first one that is healthy answers.",
    )
    acceptance: AcceptanceSection = Field(
        default=AcceptanceSection(),
        description="What its answers have to reach. Kept and shown; nothing measures it yet.",
    )


class Configuration(Section):
    """The configuration of `trueup serve`."""

    config_version: Literal[1] = Field(description="The version of this file's format.")
    server: ServerSection = Field(
        default=ServerSection(), description="Where and for whom it listens."
    )
    models: dict[Name, ModelSection] = Field(
        default={}, description="What TrueUp runs itself, by the name that clients ask for."
    )
    roles: dict[Name, RoleSection] = Field(
        default={}, description="Names for what is done, each with the models that can do it."
    )
    aliases: dict[Name, Filled] = Field(
        default={}, description="Other names for models and roles: `gpt-4o: user_communication`."
    )

    def settings(self) -> Settings:
        """The same as plain facts, without places."""
        return Settings(
            server=ServerSettings(
                **self.server.model_dump(exclude={"api_keys"}),
                api_keys=tuple(self.server.api_keys),
            ),
            models=tuple(
                ModelSettings(name=name, **model.model_dump())
                for name, model in self.models.items()
            ),
            roles=tuple(
                RoleSettings(
                    name=name, chain=tuple(role.chain), acceptance=_acceptance(role.acceptance)
                )
                for name, role in self.roles.items()
            ),
            aliases=tuple(
                AliasSettings(name=name, target=target) for name, target in self.aliases.items()
            ),
        )


def _acceptance(section: AcceptanceSection) -> Acceptance:
    return Acceptance(
        **section.model_dump(exclude={"languages"}), languages=tuple(section.languages)
    )
