"""What to write where, so that other programs ask our server: pure text, no key in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Langchain-Chatchat picks the agent by the model's name; for any other name it downloads a prompt.
AGENT_WORDS = ("glm3", "qwen")
# Without an embedding model of any name Langchain-Chatchat does not start.
NO_EMBEDDING = "no-embedding-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Where the server is, `…/v1`, and the names that it serves, by what they answer."""

    url: str
    chat: tuple[str, ...]
    embedding: tuple[str, ...]


def chatchat(offer: Offer) -> str:
    """For Langchain-Chatchat 0.3.1.x: a part of its model_settings.yaml."""
    embedding = offer.embedding[0] if offer.embedding else NO_EMBEDDING
    lines = [
        "# Langchain-Chatchat 0.3.1.x: put this in place of the same keys of model_settings.yaml.",
        "#",
        "# Its versions break off on an error inside a stream, and it cannot send the header",
        "# X-TrueUp-Profile. So give it a key whose profile ends every stream in order:",
        "#   trueup config key --name chatchat --profile langchain-chatchat",
        "# Older versions listen on 0.0.0.0: write 127.0.0.1 in basic_settings.yaml, in",
        "# DEFAULT_BIND_HOST, API_SERVER and WEBUI_SERVER, before the first start.",
        *_agent_note(offer),
        *([f"DEFAULT_LLM_MODEL: {_yaml(offer.chat[0])}"] if offer.chat else []),
        f"DEFAULT_EMBEDDING_MODEL: {_yaml(embedding)}",
        "MODEL_PLATFORMS:",
        *_platform("trueup", "openai", offer.url, chat=offer.chat),
        *(
            [
                "  # As `openai` it would send numbers of OpenAI's own tokenizer instead of texts.",
                *_platform("trueup-embeddings", "oneapi", offer.url, embedding=offer.embedding),
            ]
            if offer.embedding
            else [
                "  # Nothing embeds here, and without a name it does not start.",
                *_platform("no-embeddings", "oneapi", offer.url, embedding=(NO_EMBEDDING,)),
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def _agent_note(offer: Offer) -> Sequence[str]:
    if any(word in name.lower() for name in offer.chat for word in AGENT_WORDS) or not offer.chat:
        return ()
    alias = f"glm3-{offer.chat[0]}"
    return (
        "# Agent mode needs a model whose name contains glm3 or qwen: for any other it downloads a",
        "# prompt from api.hub.langchain.com. Add one to TrueUp's configuration, and below:",
        f"#   aliases: {{{_yaml(alias)}: {_yaml(offer.chat[0])}}}",
    )


def _platform(
    name: str, kind: str, url: str, *, chat: Sequence[str] = (), embedding: Sequence[str] = ()
) -> Sequence[str]:
    """Both lists are always written: its defaults are names of other models."""
    return (
        f"  - platform_name: {name}",
        f"    platform_type: {kind}",
        f"    api_base_url: {_yaml(url)}",
        '    api_key: "THE-KEY"',
        "    api_concurrencies: 5",
        "    auto_detect_model: false",
        f"    llm_models: [{', '.join(map(_yaml, chat))}]",
        f"    embed_models: [{', '.join(map(_yaml, embedding))}]",
    )


def open_webui(offer: Offer) -> str:
    """For Open WebUI: environment variables, as a POSIX shell reads them."""
    key = '"${TRUEUP_API_KEY:-none}"'
    lines = [
        "# Open WebUI: set these before its first start. Later its own database wins: change them",
        "# under Admin Panel, Settings, Connections, or set ENABLE_PERSISTENT_CONFIG=False.",
        "# In a container 127.0.0.1 is the container itself: name the host there (--url).",
        "export ENABLE_OPENAI_API=True",
        "export ENABLE_OLLAMA_API=False",
        f"export OPENAI_API_BASE_URLS={shlex.quote(offer.url)}",
        f"export OPENAI_API_KEYS={key}",
    ]
    if offer.chat:
        lines.append(f"export DEFAULT_MODELS={shlex.quote(offer.chat[0])}")
    if offer.embedding:
        lines += [
            "# Documents are embedded here, too.",
            "export RAG_EMBEDDING_ENGINE=openai",
            f"export RAG_EMBEDDING_MODEL={shlex.quote(offer.embedding[0])}",
            f"export RAG_OPENAI_API_BASE_URL={shlex.quote(offer.url)}",
            f"export RAG_OPENAI_API_KEY={key}",
        ]
    return "\n".join(lines) + "\n"


def langchain(offer: Offer) -> str:
    """For programs that use langchain-openai: Python."""
    classes = [
        *(["ChatOpenAI"] if offer.chat else []),
        *(["OpenAIEmbeddings"] if offer.embedding else []),
    ]
    lines = [
        "import os",
        "",
        f"from langchain_openai import {', '.join(classes)}",
        "",
        f"URL = {_python(offer.url)}",
        'KEY = os.environ.get("TRUEUP_API_KEY", "none")',
        "",
    ]
    if offer.chat:
        lines += [
            *_others(offer.chat),
            f"chat = ChatOpenAI(model={_python(offer.chat[0])}, base_url=URL, api_key=KEY)",
        ]
    if offer.embedding:
        lines += [
            *_others(offer.embedding),
            "embeddings = OpenAIEmbeddings(",
            f"    model={_python(offer.embedding[0])},",
            "    base_url=URL,",
            "    api_key=KEY,",
            "    # Else it sends numbers of OpenAI's own tokenizer instead of texts.",
            "    check_embedding_ctx_length=False,",
            ")",
        ]
    return "\n".join(lines) + "\n"


def _others(names: Sequence[str]) -> Sequence[str]:
    return [f"# Or: {', '.join(map(_python, names[1:]))}"] if names[1:] else []


def _yaml(text: str) -> str:
    """A text that YAML reads as such, whatever it looks like."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _python(text: str) -> str:
    return json.dumps(text) if text.isascii() else repr(text)


# Those that are of no use, or do not start, without a chat model.
NEED_CHAT = frozenset({"chatchat", "open-webui"})
BLOCKS: Mapping[str, Callable[[Offer], str]] = {
    "chatchat": chatchat,
    "open-webui": open_webui,
    "langchain": langchain,
}
