"""The servers that a backend's `preset` may name; what is known of each is `backends/presets.py`'s.

The names alone stand here, because a configuration is read without knowing how a server is asked.
"""

from __future__ import annotations

DEFAULT_PRESET = "openai-compatible"
PRESET_NAMES = (
    "vllm",
    "xinference",
    "llamafactory",
    "ollama",
    "sglang",
    "llama.cpp",
    "lmdeploy",
    "tgi",
    "langchain-chatchat",
    "trueup",
    "litellm",
    "openai",
    DEFAULT_PRESET,
)
