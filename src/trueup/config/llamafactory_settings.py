"""What a model that LlamaFactory runs is told, here or on a host over SSH: frozen facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trueup.config.limit_settings import LimitSettings
from trueup.config.secret import Secret

LlamaFactoryMode = Literal["script", "api", "cli"]
InferBackend = Literal["huggingface", "vllm", "sglang"]
PRESET = "llamafactory"
ANSWER_SECONDS = 300.0
LOAD_SECONDS = 1800.0
LEASE_SECONDS = 120.0
IDLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """A host over SSH; what is None is asked for as plain SSH would, without ~/.ssh/config.

    `key` is a private key's file, `agent` whether the user's agent may be asked, `password_env`
    the environment variable that holds the password. `known_hosts` None is TrueUp's own file.
    `proxy_jump` is `user@host:port`. `ssh_config` is a file in the form of ~/.ssh/config that is
    read for `host`, which may be an alias there.
    """

    host: str
    port: int | None = None
    user: str | None = None
    key: str | None = None
    agent: bool = False
    password_env: str | None = None
    known_hosts: str | None = None
    proxy_jump: str | None = None
    ssh_config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaFactorySettings:
    """A model that LlamaFactory runs; paths are the host's.

    `ssh` None is this machine. `python` is an interpreter or an environment's folder, `conda_env`
    a name or a folder; at most one of them is set, and with neither the interpreter beside
    `cli_path` or the first of the PATH is taken. `script_path` is a script of the user's own with
    one JSON argument and one JSON object as its answer, relative to `work_dir`. `url` is an API
    that somebody else runs, as that host sees it. `load_seconds` bounds a load; `lease_seconds`
    is how long a worker outlives its last sign of us; `idle_seconds` None never unloads.
    """

    name: str
    mode: LlamaFactoryMode = "script"
    base_model_path: str | None = None
    adapter_path: str | None = None
    template: str | None = None
    default_system: str | None = None
    infer_backend: InferBackend = "huggingface"
    work_dir: str | None = None
    conda_env: str | None = None
    python: str | None = None
    cli_path: str | None = None
    script_path: str | None = None
    url: str | None = None
    model: str | None = None
    api_key: Secret | None = None
    ssh: HostSettings | None = None
    load_seconds: float = LOAD_SECONDS
    idle_seconds: float | None = IDLE_SECONDS
    lease_seconds: float = LEASE_SECONDS
    context_tokens: int | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    kind: Literal["chat"] = "chat"
    place: str = field(default="", compare=False, repr=False)
