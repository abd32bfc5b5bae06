"""The configuration file's shape, version 1; `load.py` reads, `settings.py` is what comes out.

The descriptions are what editors show: `schema.json` is made from this module. `example.yaml` is
the manual.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from trueup.config.backend_section import BackendSection
from trueup.config.section import Filled, Name, Seconds, Section
from trueup.config.server_section import ProfileSection, ServerSection
from trueup.config.settings import (
    Acceptance,
    AliasSettings,
    ModelSettings,
    RoleSettings,
    Settings,
)

CURRENT_VERSION = 1

LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
Bytes = Annotated[int, Field(gt=0)]
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)]


class ModelSection(Section):
    """A model that TrueUp runs itself."""

    source: Filled = Field(
        description="A directory, a hub id in the local cache, or `demo`.",
    )
    revision: Filled | None = Field(
        default=None,
        description="The commit, tag or branch of a hub id; null is the cached `main`.",
    )
    kind: Literal["auto", "chat", "completion", "embedding", "forecast"] = Field(
        default="auto", description="What it answers; auto goes by its architecture."
    )
    route: Literal["auto", "native", "fixed", "isolated"] = Field(
        default="auto",
        description="How it is run: native by the library's own class; fixed by the model's own "
        "code with named fixes; isolated by that code in an environment of its own. auto is the "
        "first of them that will do.",
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
        description="The longest prompt and answer together; of forecasts the bars that the model "
        "sees at a time. null is what the model was made for.",
    )
    tokenizer: Filled | None = Field(
        default=None,
        description="Forecasts: a directory or hub id of the model's tokenizer; null is the folder "
        "`tokenizer` in or beside its directory, else the published one of its size.",
    )
    python: Filled | None = Field(
        default=None,
        description="The route isolated: an interpreter (or its environment's folder) that has "
        "what the model needs; null is the one that `trueup env build` builds.",
    )
    pin: bool = Field(default=False, description="true: once loaded it is never unloaded.")
    ttl_seconds: Seconds | None = Field(
        default=600.0, description="Seconds without a request until it is unloaded; null is never."
    )


class AcceptanceSection(Section):
    """What the answers of a role have to reach; `trueup suite` measures it."""

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
    host_memory_bytes: Bytes | None = Field(
        default=None, description="The most host memory that loading a model may take."
    )
    device_memory_bytes: Bytes | None = Field(
        default=None, description="The most GPU memory that loading a model may take."
    )
    prompts: list[Filled] = Field(
        default=[],
        description="Files of prompts with what the answers must contain, relative to this file.",
    )
    pairs: Filled | None = Field(
        default=None,
        description="Labelled pairs of code for the similarity, relative to this file.",
    )
    compare_with: Filled | None = Field(
        default=None,
        description="A name of this file: whoever answers for the role does no worse than it on "
        "the same prompts.",
    )


class RoleSection(Section):
    """A name for what is done; clients ask for it as for a model."""

    chain: list[Filled] = Field(
        min_length=1,
        description="Names under `models` and `backends`, asked in this order until one answers.",
    )
    acceptance: AcceptanceSection = Field(
        default=AcceptanceSection(),
        description="What its answers have to reach; `trueup suite` measures it.",
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
    backends: dict[Name, BackendSection] = Field(
        default={}, description="What others run, by the name that clients ask for."
    )
    roles: dict[Name, RoleSection] = Field(
        default={}, description="Names for what is done, each with those that can do it."
    )
    aliases: dict[Name, Filled] = Field(
        default={},
        description="Other names for models, backends and roles: `gpt-4o: user_communication`.",
    )
    profiles: dict[Name, ProfileSection] = Field(
        default={},
        description="Kinds of clients, beside the built-in `strict` and `langchain-chatchat`; a "
        "key's `profile` or the header `X-TrueUp-Profile` names one.",
    )

    def settings(self) -> Settings:
        """The same as plain facts, without places."""
        return Settings(
            server=self.server.settings(),
            models=tuple(
                ModelSettings(name=name, **model.model_dump())
                for name, model in self.models.items()
            ),
            backends=tuple(backend.settings(name) for name, backend in self.backends.items()),
            profiles=tuple(profile.settings(name) for name, profile in self.profiles.items()),
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
    lists = {"languages": tuple(section.languages), "prompts": tuple(section.prompts)}
    return Acceptance(**{**section.model_dump(), **lists})
