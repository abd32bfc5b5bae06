"""The part `backends` of the configuration file: servers that others run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticKnownError

from trueup.config.droppable import checked_name, checked_untaken
from trueup.config.limit_settings import LimitSettings
from trueup.config.llamafactory_section import LlamaFactoryKeys
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.config.names import nearest
from trueup.config.presets import DEFAULT_PRESET, PRESET_NAMES
from trueup.config.section import Filled, Seconds, SecretText, Section, stated
from trueup.config.settings import BackendSettings
from trueup.config.url import url_trouble


def _preset(value: str) -> str:
    if value not in PRESET_NAMES:
        hint = nearest(value, PRESET_NAMES) or f"any other server is `{DEFAULT_PRESET}`"
        raise stated(f"`{value}` is no preset: no such server is known", hint)
    return value


def _url(value: str) -> str:
    if trouble := url_trouble(value):
        raise stated(*trouble)
    return value


class LimitsSection(Section):
    """How long a backend may take; null is what its preset says."""

    connect_seconds: Seconds | None = Field(
        default=None, description="Until it is connected; most presets say 5."
    )
    first_token_seconds: Seconds | None = Field(
        default=None, description="Until the answer begins; most presets say 60."
    )
    between_tokens_seconds: Seconds | None = Field(
        default=None,
        description="Between two pieces of an answer; heartbeats are none. Most presets say 30.",
    )
    total_seconds: Seconds | None = Field(
        default=None, description="For the whole answer; most presets say 600."
    )


class BackendSection(LlamaFactoryKeys):
    """A server that others run; what is null is left to its preset.

    With `preset: llamafactory` it may be a model instead, which LlamaFactory runs for us.
    """

    preset: Annotated[
        str,
        AfterValidator(_preset),
        WithJsonSchema({"type": "string", "enum": list(PRESET_NAMES)}),
    ] = Field(default=DEFAULT_PRESET, description="What server it is.")
    url: Annotated[str, AfterValidator(_url)] | None = Field(
        default=None,
        validate_default=True,
        description="Where it is: `http://127.0.0.1:9997/v1`; without a path `/v1` is added. "
        "Required, but for models that LlamaFactory runs for us.",
    )
    model: Filled | None = Field(
        default=None,
        description="The model's name there; null is the only one that it has, else the name that "
        "the client asked for.",
    )
    api_key: SecretText | None = Field(
        default=None, description="The key that it wants; `${env.NAME}` keeps it out of the file."
    )
    kind: Literal["chat", "completion", "embedding"] = Field(
        default="chat", description="What it answers."
    )
    end_of_answer: Literal["finish_reason", "done", "end"] | None = Field(
        default=None,
        description="What tells a complete answer from a cut one: a finish_reason for each choice, "
        "`[DONE]`, or an orderly end of the body.",
    )
    continuation: Literal["none", "continue_final_message", "prefix"] | None = Field(
        default=None,
        description="The parameter by which it goes on with a partial answer, or none.",
    )
    context_tokens: int | None = Field(
        default=None, ge=1, description="The longest prompt and answer together, where it is known."
    )
    ask_again: bool | None = Field(
        default=None,
        description="Whether a broken answer may be asked for a second time; false where that "
        "costs money.",
    )
    drop: list[Annotated[str, AfterValidator(checked_name)]] = Field(
        default=[],
        description="Parameters that may be left out for it although that changes the answer, "
        "such as `tools` or `logit_bias`.",
    )
    unsupported: list[Annotated[str, AfterValidator(checked_untaken)]] = Field(
        default=[],
        description="Parameters that it rejects, beside those of its preset; `developer` is the "
        "role of that name.",
    )
    ignored: list[Annotated[str, AfterValidator(checked_untaken)]] = Field(
        default=[], description="Parameters that it takes without effect."
    )
    limits: LimitsSection = Field(default=LimitsSection(), description="How long it may take.")

    @field_validator("url", mode="after")
    @classmethod
    def _is_somewhere(cls, url: str | None, info: ValidationInfo) -> str | None:
        """Only what is run by us has no URL."""
        if url is None and not any(
            info.data.get(key) for key in ("base_model_path", "script_path")
        ):
            raise PydanticKnownError("missing")
        return url

    def preset_name(self) -> str:
        """The name of its preset."""
        return self.preset

    def settings(self, name: str) -> BackendSettings | LlamaFactorySettings:
        """The same as plain facts, without the place."""
        limits = LimitSettings(**self.limits.model_dump())
        if self.is_run_by_us:
            return self.llamafactory_settings(
                name,
                url=self.url,
                model=self.model,
                api_key=self.api_key,
                context_tokens=self.context_tokens,
                limits=limits,
            )
        # Not the key: pydantic would write out what is in it.
        apart = {"api_key", "limits", "drop", "unsupported", "ignored"}
        told = self.model_dump(exclude=apart | set(LlamaFactoryKeys.model_fields))
        return BackendSettings(
            name=name,
            **told,
            api_key=self.api_key,
            drop=tuple(dict.fromkeys(self.drop)),
            unsupported=tuple(dict.fromkeys(self.unsupported)),
            ignored=tuple(dict.fromkeys(self.ignored)),
            limits=limits,
        )
