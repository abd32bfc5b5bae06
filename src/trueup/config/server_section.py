"""The part `server` of the configuration file and the profiles of its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from trueup.config.section import (
    Filled,
    Name,
    Seconds,
    SecretText,
    Section,
    secret_of,
    stated,
)
from trueup.config.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    PROFILES,
    ApiKey,
    ClientProfile,
    ServerSettings,
)

DIGEST_PATTERN = r"^[0-9a-fA-F]{64}$"
ORIGIN_PATTERN = r"^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]+/?)$"
Origin = Annotated[str, StringConstraints(pattern=ORIGIN_PATTERN)]
# A request of OpenAI's SDK has some 700 bytes of headers.
MIN_HEADER_BYTES = 1024


class KeySection(Section):
    """A key that clients may send, and what is known of them."""

    name: Name | None = Field(
        default=None, description="What the access log calls it; null is `key-1`, `key-2`, …"
    )
    key: SecretText | None = Field(
        default=None, description="The key itself; `${env.NAME}` keeps it out of the file."
    )
    sha256: Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)] | None = Field(
        default=None,
        description="Instead of the key: its SHA-256 in hex, as `trueup config key` prints it.",
    )
    profile: Name | None = Field(
        default=None, description="How these clients are answered; a name known in `profiles`."
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.key is None) == (self.sha256 is None):
            both = "both `key` and `sha256`" if self.key else "neither `key` nor `sha256`"
            hint = "keep `sha256`, and remove `key`" if self.key else "trueup config key"
            raise stated(f"this entry has {both}, expected one of them", hint)
        return self

    def settings(self, number: int) -> ApiKey:
        """The key as its hash alone; `number` counts from 1."""
        name = self.name or f"key-{number}"
        if self.key is not None:
            return ApiKey.of(self.key, name=name, profile=self.profile)
        digest = bytes.fromhex(self.sha256 or "")
        return ApiKey(sha256=digest, name=name, profile=self.profile)


def _key_section(value: object) -> object:
    return value if isinstance(value, Mapping) else KeySection(key=secret_of(value))


class ServerSection(Section):
    """Where to listen, who may ask, how much at a time, and how it ends."""

    host: Filled = Field(
        default=DEFAULT_HOST,
        description="The address to listen on. Anything but a loopback address needs a key.",
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="The port; 0 takes a free one."
    )
    api_keys: list[
        Annotated[
            KeySection, BeforeValidator(_key_section, json_schema_input_type=str | KeySection)
        ]
    ] = Field(
        default=[],
        description="Keys that clients may send as `Authorization: Bearer KEY`, each as a text or "
        "with its name and its clients' profile. TRUEUP_API_KEY, where it is set, is one more. "
        "Write `${env.NAME}` or a key's `sha256` to keep it out of the file.",
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0,
        allow_inf_nan=False,
        description="How long running answers may take to finish when the server is told to stop.",
    )
    cors_origins: list[Origin] = Field(
        default=[],
        description="Web pages that may ask and read, by origin: `https://board.example`; `*` is "
        "every page and needs a key.",
    )
    max_body_bytes: int = Field(
        default=16 * 2**20, ge=1, description="The longest body of a request; above it is a 413."
    )
    max_header_bytes: int = Field(
        default=64 * 2**10,
        ge=MIN_HEADER_BYTES,
        description="The longest head of a request; above it is a 431.",
    )
    max_requests: int = Field(
        default=1024, ge=1, description="Requests that are answered at a time; above it is a 429."
    )
    access_log: Literal["text", "json", "off"] = Field(
        default="text", description="A line for each request on stderr, or none."
    )
    log_prompts: bool = Field(
        default=False,
        description="true: the access log holds what was asked; answers are never logged.",
    )
    strict: bool = Field(
        default=False,
        description="true: a request whose parameters would have to be dropped for a backend is "
        "refused. A client asks for it with the header `X-TrueUp-Strict: true`.",
    )

    require_proof: bool = Field(
        default=False,
        description="true: of the models that TrueUp runs itself only those are served that "
        "`trueup verify` has proven, and whose proof still holds.",
    )

    def settings(self) -> ServerSettings:
        """The same as plain facts."""
        told = self.model_dump(exclude={"api_keys", "cors_origins", "strict"})
        return ServerSettings(
            **told,
            api_keys=tuple(each.settings(index + 1) for index, each in enumerate(self.api_keys)),
            cors_origins=tuple(self.cors_origins),
            is_strict=self.strict,
        )


class ProfileSection(Section):
    """How a kind of client is answered when something went wrong.

    What is left out is that of the built-in profile of this name, else of `strict`.
    """

    error_events: bool = Field(
        default=True,
        description="false: an answer that cannot be completed ends in order, with a "
        "finish_reason and the note, for clients that cannot bear an error inside a stream.",
    )
    clamps_max_tokens: bool = Field(
        default=False,
        description="true: max_tokens above what the model has room for is lowered, not refused.",
    )
    retry_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0,
        description="For how long a backend that fails is asked again where nobody else is left "
        "and nothing was sent yet; it is asked three times in any case.",
    )
    patience_seconds: Seconds = Field(
        default=180.0, description="How long after its start a request is still tried again."
    )
    note: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Field(
        default="[The answer is incomplete: {cause}]",
        description="What ends an incomplete answer where error_events is false; `{cause}` in it "
        "is replaced by what happened.",
    )

    def settings(self, name: str) -> ClientProfile:
        """The profile of that name."""
        told: dict[str, Any] = self.model_dump(exclude_unset=True)
        return replace(PROFILES.get(name) or ClientProfile(name=name), **told)
