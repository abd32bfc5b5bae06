"""Model servers and the services in front of them: Langchain-Chatchat, Xinference. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import SERVE, Known

ROWS = (
    Known(
        code="STREAM101",
        patterns=(
            r"peer closed connection without sending complete message body",
            r"incomplete chunked read",
            r"RemoteProtocolError",
        ),
        seen_with=(r"openai_routes\.py", r"sse_starlette", r"openai/_streaming\.py"),
        cause="a stream was cut. Langchain-Chatchat 0.3.1 cuts its own answer for any exception of "
        "its OpenAI client: a model server that closed, an error event, a 401, 400 or 503, a "
        "`max_tokens` above the context, a missing API key; the model server need not be at fault",
        hint="ask the model server without `stream` and read its answer: that is the real error; "
        "Langchain-Chatchat 0.3.1.3 passes it on. A TrueUp server ends every stream properly",
        command=SERVE,
    ),
    Known(
        code="STREAM102",
        patterns=(r"An error occurred during streaming",),
        cause="the model server sent an error inside a stream whose text got lost on the way",
        hint="ask it without `stream`: that answer has the message",
        command=SERVE,
    ),
    Known(
        code="CHATCHAT101",
        patterns=(r"api\.hub\.langchain\.com",),
        cause="Langchain-Chatchat's agent downloads a prompt from the internet for every model "
        "whose name has neither `glm3` nor `qwen` in it",
        hint="give the model a name with `glm3` or `qwen`, or upgrade Langchain-Chatchat",
    ),
    Known(
        code="CHATCHAT102",
        is_broad=True,
        patterns=(r"'NoneType' object has no attribute '?dict\b",),
        cause="Langchain-Chatchat's agent shows any failed answer of the model server like this",
        hint="ask the model server without `stream` and read its answer",
        command=SERVE,
    ),
    Known(
        code="CHATCHAT103",
        is_broad=True,
        patterns=(r"tool_choice", r"Tool choice"),
        cause="`tool_choice` reached a server that does not take it: Langchain-Chatchat answers "
        'its own `tool_choice: "auto"` with a 500, many model servers with a 400',
        hint="leave `tool_choice` out of the request; this version of TrueUp's server takes `auto` "
        "and `none`, which ask for nothing, and refuses every other value and `tools` by name",
    ),
    Known(
        code="VLLM101",
        patterns=(r"tool choice requires --enable-auto-tool-choice",),
        cause="vLLM was started without tool calls, and the request has `tools` or "
        '`tool_choice: "auto"`',
        hint="start vLLM with `--enable-auto-tool-choice --tool-call-parser NAME`, or leave both "
        "out of the request",
    ),
    Known(
        code="XIN101",
        patterns=(r"Could not validate credentials",),
        cause="Xinference switches authentication on by default and the request has no valid key",
        hint="send the key as a Bearer token, or start Xinference with "
        "`XINFERENCE_AUTH_ADVANCED=0`",
    ),
    Known(
        code="XIN102",
        patterns=(r"The chat completion request failed\. Check the server logs",),
        cause="Xinference hides the reason: `max_tokens` above the context, roles that the chat "
        "template refuses, or a model process that has died",
        hint="keep `max_tokens` below the context less the prompt, and user and assistant in turn",
        command=SERVE,
    ),
    Known(
        code="XIN103",
        patterns=(r"cannot be run on engine transformers",),
        cause="Xinference does not know the architecture in the checkpoint's config.json, "
        "as with ChatGLM2's remote-code layout",
        hint="export a standard checkpoint: `trueup plan MODEL --export-native DIR`",
        command="trueup plan MODEL --export-native DIR",
    ),
    Known(
        code="XIN104",
        patterns=(r"Internal Server Error: \d+ validation error",),
        cause="Xinference answers a value out of range (max_tokens of 0 or less, temperature, "
        "messages that are no list) with a 500 instead of a 400",
        hint="look at the request's values; after such a 500 the connection must not be used again",
    ),
    Known(
        code="XIN105",
        is_broad=True,
        patterns=(r"'str' object has no attribute '?get\b",),
        seen_with=(r"xinference", r"completions"),
        cause="/v1/completions was asked of a chat model of Xinference",
        hint="ask /v1/chat/completions",
        command=SERVE,
    ),
    Known(
        code="XIN106",
        is_broad=True,
        patterns=(r"Connect call failed", r"in stopping state"),
        seen_with=(r"xinference",),
        cause="the model process of Xinference has died; it comes back by itself after some 10 s",
        hint="try again for at least 15 s",
    ),
)
