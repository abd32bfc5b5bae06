"""Which hub is asked: Hugging Face, or ModelScope where a switch of the field says so.

Names of variables, addresses and folders; nothing is asked here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from trueup.errors import ConfigError

TRUE_WORDS = {"1", "ON", "YES", "TRUE"}
# The switches of LlamaFactory, vLLM and SGLang; Xinference has a word.
SWITCHES = ("USE_MODELSCOPE_HUB", "VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE")
XINFERENCE_SWITCH = "XINFERENCE_MODEL_SRC"
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A hub and the variables by which its own clients are told things."""

    name: str
    endpoint: str
    endpoint_variables: tuple[str, ...]
    token_variable: str
    tokens_page: str
    home_variable: str
    default_revision: str

    def address(self) -> str:
        """Where it is asked.

        Raises: ConfigError where the variable holds no address.
        """
        variable = next(filter(_has, self.endpoint_variables), None)
        if variable is None:
            return self.endpoint
        address = os.environ[variable]
        address = address if "://" in address else f"https://{address}"
        try:
            parts = urlsplit(address)
            is_meant = parts.scheme in ("http", "https") and bool(parts.hostname)
            is_meant = is_meant and parts.port != 0
        except ValueError:  # of the port
            is_meant = False
        if not is_meant or not address.isprintable() or " " in address:
            raise ConfigError(
                f"`{os.environ[variable][:200]!r}` is no address of a hub, expected one such as "
                f"`{self.endpoint}`",
                where=variable,
            )
        return address.rstrip("/")


HUGGING_FACE = Service(
    name="Hugging Face",
    endpoint="https://huggingface.co",
    endpoint_variables=("HF_ENDPOINT",),
    token_variable="HF_TOKEN",
    tokens_page="https://huggingface.co/settings/tokens",
    home_variable="HF_HOME",
    default_revision="main",
)
MODELSCOPE = Service(
    name="ModelScope",
    endpoint="https://modelscope.cn",
    endpoint_variables=("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"),
    token_variable="MODELSCOPE_API_TOKEN",
    tokens_page="https://modelscope.cn/my/myaccesstoken",
    home_variable="MODELSCOPE_CACHE",
    default_revision="master",
)


def current() -> Service:
    """The hub that the environment names."""
    switched = any(os.environ.get(each, "").upper() in TRUE_WORDS for each in SWITCHES)
    if switched or os.environ.get(XINFERENCE_SWITCH, "").lower() == "modelscope":
        return MODELSCOPE
    return HUGGING_FACE


def offline_variable() -> str | None:
    """The variable that forbids to ask a hub, None where none does."""
    for name in OFFLINE_VARIABLES:
        if _has(name):
            return name if os.environ[name].upper() in TRUE_WORDS else None
    return None


def cache_folder() -> Path:
    """Where the current hub's repositories lie: Hugging Face's is shared with its own client."""
    if current() is MODELSCOPE:
        caches = os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope"
        return Path(caches).expanduser() / "trueup"
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{caches}/huggingface"
    return Path(home).expanduser() / "hub"


def _has(name: str) -> bool:
    return bool(os.environ.get(name))
