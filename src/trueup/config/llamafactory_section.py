"""Keys of a backend that are about a model which LlamaFactory runs, here or on a host over SSH."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from trueup.config.limit_settings import LimitSettings
from trueup.config.llamafactory_settings import (
    IDLE_SECONDS,
    LEASE_SECONDS,
    LOAD_SECONDS,
    PRESET,
    HostSettings,
    InferBackend,
    LlamaFactoryMode,
    LlamaFactorySettings,
)
from trueup.config.secret import Secret
from trueup.config.section import Filled, Seconds, Section, stated

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
# Without a host they say nothing.
OF_HOST = tuple(name for name in HostSettings.__dataclass_fields__ if name != "host")


class LlamaFactoryKeys(Section):
    """What `preset: llamafactory` has beside the keys of every backend; paths are the host's."""

    mode: LlamaFactoryMode | None = Field(
        default=None,
        description="How LlamaFactory is asked: script keeps its ChatModel loaded, api its own "
        "API, cli its terminal conversation, for where nothing else works. null is script, and "
        "api where only `url` is given.",
    )
    base_model_path: Filled | None = Field(
        default=None, description="The base model's directory, or its hub id as LlamaFactory "
        "takes it.",
    )  # fmt: skip
    adapter_path: Filled | None = Field(
        default=None, description="The directory of a LoRA adapter, which is merged at load."
    )
    template: Filled | None = Field(
        default=None,
        description="LlamaFactory's name of the chat format, such as `qwen`; null is the "
        "tokenizer's own.",
    )
    default_system: str | None = Field(
        default=None,
        description="The system prompt where a request has none: that of the training, else an "
        "adapter answers garbage.",
    )
    infer_backend: InferBackend = Field(
        default="huggingface", description="What LlamaFactory runs the model with."
    )
    work_dir: Filled | None = Field(
        default=None, description="The directory that relative paths are relative to."
    )
    conda_env: Filled | None = Field(
        default=None, description="The conda environment that has LlamaFactory: a name or a folder."
    )
    python: Filled | None = Field(
        default=None,
        description="The interpreter that has LlamaFactory, or its environment's folder.",
    )
    cli_path: Filled | None = Field(
        default=None, description="Where `llamafactory-cli` is; null is the environment's."
    )
    script_path: Filled | None = Field(
        default=None,
        description="A script of your own: one JSON object as its argument, one on stdout.",
    )
    host: Filled | None = Field(
        default=None, description="The host over SSH where it runs; null is this machine."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="The SSH port of `host`.")
    user: Filled | None = Field(default=None, description="The user there.")
    key: Filled | None = Field(default=None, description="The file of the private SSH key.")
    agent: bool = Field(default=False, description="true: the SSH agent of this user is asked.")
    password_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="The environment variable that holds the password.",
    )
    known_hosts: Filled | None = Field(
        default=None,
        description="The file of known host keys; null is TrueUp's own, which `trueup backends "
        "trust-host NAME` writes.",
    )
    proxy_jump: Filled | None = Field(
        default=None, description="The host on the way: `user@host:port`."
    )
    ssh_config: Filled | None = Field(
        default=None,
        description="A file such as `~/.ssh/config` that is read for `host`; null reads none.",
    )
    load_seconds: Seconds = Field(
        default=LOAD_SECONDS, description="How long loading the model may take."
    )
    lease_seconds: Seconds = Field(
        default=LEASE_SECONDS,
        description="How long a worker outlives its last sign of this server: after it, it ends.",
    )
    idle_seconds: Seconds | None = Field(
        default=IDLE_SECONDS,
        description="Seconds without a request until its model is unloaded; null is never.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Keys that need or exclude each other."""
        if self.preset_name() != PRESET:
            return self._without_any()
        if self.host is None and (stray := [name for name in OF_HOST if getattr(self, name)]):
            raise stated(f"`{stray[0]}` is about a host over SSH, and `host` is missing",
                         "host: gpu.example")  # fmt: skip
        if self.python and self.conda_env:
            raise stated("`python` and `conda_env` both name an environment", "keep one of them")
        if self.script_path and self.mode not in (None, "script"):
            raise stated(f"`script_path` is for the mode script, not {self.mode}", "mode: script")
        if not (self.base_model_path or self.script_path) and self.mode in ("script", "cli"):
            raise stated(f"the mode {self.mode} runs a model, and `base_model_path` is missing",
                         "base_model_path: /models/Qwen2.5-7B-Instruct")  # fmt: skip
        return self

    def preset_name(self) -> str:
        """The backend's preset, which a section that has these keys says."""
        raise NotImplementedError

    def _without_any(self) -> Self:
        given = [name for name in LlamaFactoryKeys.model_fields if name in self.model_fields_set]
        # What `trueup config show` prints has every key.
        for name in given:
            if getattr(self, name) != LlamaFactoryKeys.model_fields[name].default:
                raise stated(f"`{name}` is a key of `preset: {PRESET}`, and this is "
                             f"`{self.preset_name()}`", f"preset: {PRESET}")  # fmt: skip
        return self

    @property
    def is_run_by_us(self) -> bool:
        """Whether there is more to do than to ask a URL."""
        return bool(self.base_model_path or self.script_path or self.host)

    def llamafactory_settings(
        self,
        name: str,
        *,
        url: str | None,
        model: str | None,
        api_key: Secret | None,
        context_tokens: int | None,
        limits: LimitSettings,
    ) -> LlamaFactorySettings:
        """These keys, and those of every backend that it has too, as plain facts."""
        told: dict[str, Any] = {key: getattr(self, key) for key in LlamaFactoryKeys.model_fields}
        ssh = {key: told.pop(key) for key in HostSettings.__dataclass_fields__}
        is_attached = not (self.base_model_path or self.script_path)
        told["mode"] = self.mode or ("api" if is_attached else "script")
        return LlamaFactorySettings(
            name=name,
            **told,
            url=url,
            model=model,
            api_key=api_key,
            context_tokens=context_tokens,
            limits=limits,
            ssh=HostSettings(**ssh) if self.host else None,
        )
