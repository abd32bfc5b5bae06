"""What is known of servers that others wrote, one row each: data, no logic.

Only what was measured or stands in a server's own code, documents or issues is told here; the
rest keeps the safe default and is learned while asking. A server that behaves differently in a
way that no field can say gets a module of its own instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trueup.backends.base import Accepts, Capabilities, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One server: where it listens when nobody said, what it can do, and its quirks in words.

    `version_path` (below the server's root, not below /v1) answers with its version under
    `version_key`; the empty path means that it does not tell.
    """

    name: str
    title: str
    url: str | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    version_path: str = "/version"
    version_key: str = "version"
    quirks: tuple[str, ...] = ()


ROWS = (
    Preset(
        name="vllm",
        title="vLLM",
        url="http://127.0.0.1:8000/v1",
        capabilities=Capabilities(
            # vllm#8942. The same seed need not give the same answer while others are served
            # (docs.vllm.ai, Reproducibility), so `takes_seed` stays false.
            continuation="continue_final_message",
        ),
        quirks=(
            # vllm#12834, runpod worker-vllm#197
            "tool_choice `auto` is a 400 unless it was started with --enable-auto-tool-choice and "
            "--tool-call-parser",
            # vllm#9426
            "tool_choice without tools is a 400",
            # vllm#9451: what parallel_tool_calls does depends on the version
            "older versions take parallel_tool_calls and ignore it",
        ),
    ),
    Preset(
        name="xinference",
        title="Xinference",
        url="http://127.0.0.1:9997/v1",
        version_path="/v1/cluster/version",
        # Measured with 4.1.0 and its transformers engine.
        capabilities=Capabilities(
            # A non-streamed answer runs on to its end when the client has left.
            whole_by_stream=True,
            # A killed model process is back after 10 s, on a busy machine later.
            recovery_seconds=30.0,
            accepts=Accepts(
                # With a template that knows no such role it answers an opaque 500.
                unsupported=frozenset({"developer"}),
                ignored=frozenset(
                    {
                        "tool_choice",
                        "parallel_tool_calls",
                        "response_format",
                        "n",
                        "logprobs",
                        "top_logprobs",
                    }
                ),
            ),
        ),
        quirks=(
            "authentication is on by default: 401 on every route, /v1/models included",
            "with include_usage a second finish_reason `stop` follows the true one",
            "repeats the role within an answer",
            "four shapes of errors: text/plain, `detail`, a text under `error` in a stream, 404",
            "values that do not validate are a 500 in text/plain instead of a 400",
            "the next request on a connection that had a 500 is reset, 6 of 6",
            "a prompt longer than the context is shortened without a word",
            "the transformers engine takes `seed` and makes another answer all the same",
            "a lost model process ends the stream in order, without finish_reason and [DONE]",
        ),
    ),
    Preset(
        name="llamafactory",
        title="LlamaFactory API",
        url="http://127.0.0.1:8000/v1",
        version_path="",
        # api/protocol.py and api/chat.py, measured with 0.9.5: what the request's class does not
        # name is ignored.
        capabilities=Capabilities(
            accepts=Accepts(
                # Streams of several answers are refused after the status; a presence_penalty
                # becomes a repetition_penalty, where 0 stops generation for good; messages of
                # the role developer are a 422.
                unsupported=frozenset({"n", "presence_penalty", "developer"}),
                ignored=frozenset(
                    {
                        "tool_choice",
                        "parallel_tool_calls",
                        "response_format",
                        "logit_bias",
                        "logprobs",
                        "top_logprobs",
                        "frequency_penalty",
                        "seed",
                        "stream_options",
                    }
                ),
                renamed={"max_completion_tokens": "max_tokens"},
            ),
        ),
        quirks=(
            "no usage in streams, and their finish_reason is always `stop`",
            "streams with tools break after status 200; without streaming the same is answered",
            "roles out of turn break a stream after status 200; without streaming they are a 400",
            "tools without a description are a 422, the role developer too",
            "null content and negative numbers are a bare 500",
            "a failure while streaming hangs for ever and blocks the next request",
            "listens on every address without a key unless told otherwise",
        ),
    ),
    Preset(
        name="ollama",
        title="Ollama",
        url="http://127.0.0.1:11434/v1",
        version_path="/api/version",
        capabilities=Capabilities(
            takes_seed=True,  # docs/api/openai-compatibility.mdx: reproducible outputs
            # The first request loads the model, for which Ollama gives itself five minutes
            # (OLLAMA_LOAD_TIMEOUT).
            limits=Limits(first_token_seconds=300.0),
            accepts=Accepts(
                # openai/openai.go: fields that ChatCompletionRequest does not have; the page
                # openai-compatibility lists tool_choice, logit_bias, user and n as missing.
                ignored=frozenset({"tool_choice", "parallel_tool_calls", "logit_bias", "n"}),
                renamed={"max_completion_tokens": "max_tokens"},
            ),
        ),
        quirks=("needs any key in OpenAI's clients and reads none",),
    ),
    Preset(
        name="sglang",
        title="SGLang",
        url="http://127.0.0.1:30000/v1",
        version_path="/get_server_info",
        # sglang#4226
        capabilities=Capabilities(continuation="continue_final_message"),
        quirks=('errors are `{"object": "error", "message": …}` without an envelope',),
    ),
    Preset(
        name="llama.cpp",
        title="llama.cpp server",
        url="http://127.0.0.1:8080/v1",
        version_path="/props",
        version_key="build_info",
        capabilities=Capabilities(
            takes_seed=True,
            # A last message of the assistant is continued since llama.cpp#13174, whatever the
            # request says (#13608 switches it off), and by this parameter since #23012.
            continuation="continue_final_message",
        ),
        quirks=(
            # llama.cpp#10920, LLMKube#126
            "without --jinja older versions answer tools with a 500 that says so",
            "503 while it loads its model",
        ),
    ),
    Preset(
        name="lmdeploy",
        title="LMDeploy",
        url="http://127.0.0.1:23333/v1",
        version_path="",
        capabilities=Capabilities(
            # lmdeploy#2798: a last message of the assistant is continued; the parameter itself
            # is not known there and does no harm.
            continuation="continue_final_message",
            takes_seed=True,  # serve/openai/protocol.py: seed
            # serve/openai/protocol.py: not in the request's class
            accepts=Accepts(ignored=frozenset({"parallel_tool_calls"})),
        ),
        quirks=('errors are `{"object": "error", "message": …}` without an envelope',),
    ),
    Preset(
        name="tgi",
        title="Text Generation Inference",
        url="http://127.0.0.1:3000/v1",
        version_path="/info",
        capabilities=Capabilities(
            continuation="continue_final_message",  # text-generation-inference#2733
            takes_seed=True,
            # huggingface_hub#2724 and text-generation-inference#2869: both are UNUSED in
            # router/src/lib.rs; as a map, which OpenAI's is, logit_bias is a 422.
            accepts=Accepts(unsupported=frozenset({"logit_bias"}), ignored=frozenset({"n"})),
        ),
    ),
    Preset(
        name="langchain-chatchat",
        title="Langchain-Chatchat",
        url="http://127.0.0.1:7861/v1",
        version_path="",
        quirks=(
            # Measured with 0.3.1 and 0.3.1.3.
            "no stream of it ends with [DONE]",
            "0.3.1 cuts its own answer on any failure behind it; 0.3.1.3 sends "
            '`{"error": "text"}` in the stream',
            "a failure without streaming is status 200 with the body `null`",
            "sends `: ping` every 15 s, also while nothing moves",
        ),
    ),
    Preset(
        name="trueup",
        title="TrueUp",
        url="http://127.0.0.1:8484/v1",
        capabilities=Capabilities(
            takes_seed=True,
            # The first request loads the model.
            limits=Limits(first_token_seconds=300.0),
        ),
        quirks=("it tries again, falls back and emulates by itself",),
    ),
    Preset(
        name="litellm",
        title="LiteLLM proxy",
        url="http://127.0.0.1:4000/v1",
        version_path="/health/readiness",
        version_key="litellm_version",
        capabilities=Capabilities(asks_again=False),  # what is behind it may cost money
        quirks=(
            # Measured with 1.106.
            "sends a cut stream on with finish_reason `stop`",
            "sends an empty answer as a complete one",
        ),
    ),
    Preset(
        name="openai",
        title="OpenAI",
        url="https://api.openai.com/v1",
        version_path="",
        capabilities=Capabilities(asks_again=False),  # every answer costs money
        quirks=("models that reason reject max_tokens, temperature and others by name",),
    ),
    Preset(name="openai-compatible", title="OpenAI-compatible"),
)
PRESETS: Mapping[str, Preset] = {each.name: each for each in ROWS}
