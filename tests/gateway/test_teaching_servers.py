"""Errors as real servers word them, from their issues and sources: what teaches, what does not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.gateway.test_teaching import EXTRA, FULL, error_of, openai, pydantic
from trueup.errors import RequestError
from trueup.gateway.teaching import lesson_of, value_limit

ASKED: dict[str, Any] = {
    **FULL,
    "stream": True,
    "top_p": 0.5,
    "top_logprobs": 2,
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1},
    "thinking": {},
    "system_prompt": "x",
    "frequencyPenalty": 1,
}
DROP = "To drop these, set `litellm.drop_params=True`"
BODY = "Failed to deserialize the JSON body into the target type: "


def plain(**shape: Any) -> bytes:
    return orjson.dumps(shape)


Row = tuple[str, int, bytes, str | None]
# The server, the status, the body, the lesson.
TEACHES: tuple[Row, ...] = (
    ("vLLM", 400, plain(object="error", message='"auto" tool choice requires --enable-auto-tool-'
     "choice and --tool-call-parser to be set", type="BadRequestError", code=400), "tool_choice"),
    ("vLLM", 400, plain(object="error", message="[{'type': 'extra_forbidden', 'loc': ('body', "
     f"'stream_options'), 'msg': '{EXTRA}', 'input': {{'include_usage': True}}}}]", code=400),
     "stream_options"),
    ("vLLM", 400, plain(object="error", message="1 validation error for ChatCompletionRequest\n"
     f"parallel_tool_calls\n  {EXTRA} [type=extra_forbidden, input_value=True]"),
     "parallel_tool_calls"),
    ("Mistral", 422, plain(object="Error", detail=[{"type": "extra_forbidden", "loc": ["body",
     "user"], "msg": EXTRA, "input": []}], message=[{"type": "extra_forbidden", "loc": ["body",
     "user"], "msg": EXTRA}], type="invalid_request_error", code=3001), "user"),
    ("Groq", 400, openai("property 'reasoning_effort' is unsupported, did you mean "
     "'reasoning_format'?"), "reasoning_effort"),
    ("Groq", 400, openai("property 'stream_options' is unsupported, did you mean 'stream'?"),
     "stream_options"),
    ("Groq", 400, openai("`response_format` does not support streaming"), "response_format"),
    ("Groq", 400, openai("This model does not support response format `json_schema`. See "
     "supported models at https://console.example"), "response_format"),
    ("Groq", 400, openai("logprobs is not supported with this model"), "logprobs"),
    ("xAI", 400, plain(code="Client specified an invalid argument",
     error="Argument not supported: stream_options"), "stream_options"),
    ("xAI", 400, plain(code="Client specified an invalid argument",
     error="Argument not supported on this model: frequencyPenalty"), "frequencyPenalty"),
    ("LiteLLM", 400, openai("litellm.UnsupportedParamsError: azure does not support parameters: "
     f"['response_format'], for model=gpt-35. {DROP}"), "response_format"),
    ("LiteLLM", 400, openai("litellm.UnsupportedParamsError: ollama_chat does not support "
     f"parameters: {{'parallel_tool_calls': False}}, for model=x. {DROP}"), "parallel_tool_calls"),
    ("LiteLLM", 400, openai("litellm.BadRequestError: OpenAIException - Unrecognized request "
     "argument supplied: system_prompt"), "system_prompt"),
    ("llama.cpp", 500, plain(code=500, message="Unsupported param: tools", type="server_error"),
     "tools"),
    ("Ollama", 400, plain(error="registry.ollama.ai/library/gemma2:2b does not support tools"),
     "tools"),
    ("DeepInfra", 405, plain(status="failure", message="deepinfra error: Tool calling is not "
     "supported for model: X"), "tools"),
    ("OpenAI", 400, openai("Invalid parameter: 'response_format' of type 'json_schema' is not "
     "supported with this model. Learn more about supported models at the guide."),
     "response_format"),
    ("OpenAI", 400, openai("Unsupported parameter: 'temperature' is not supported with this "
     "model.", "temperature", "unsupported_parameter"), "temperature"),
    ("DeepSeek", 400, openai("This response_format type is unavailable now"), "response_format"),
    ("DeepSeek", 400, openai("deepseek-reasoner does not support this tool_choice"),
     "tool_choice"),
    ("z.ai", 400, openai("Validation: Unsupported parameter(s): thinking"), "thinking"),
    ("Go", 400, b'json: unknown field "seed"', "seed"),
    ("TGI", 422, f"{BODY}unknown field `seed`, expected one of `model`, `messages`, `temperature` "
     "at line 1 column 20".encode(), "seed"),
)  # fmt: skip
TEACHES_NOTHING: tuple[Row, ...] = (
    # A part of a tool or a message is not the field.
    ("Anthropic", 400, plain(message=f"tools.3.custom.input_examples: {EXTRA}"), None),
    ("Anthropic", 400, openai(f"messages.65.content.1.tool_use.text: {EXTRA}"), None),
    ("opencode", 400, openai(f"13 request validation errors: {EXTRA}, field: "
     "'tools[0].eager_input_streaming', value: True"), None),
    ("vLLM", 422, pydantic(["tools", 0, "function", "strict"], EXTRA, "extra_forbidden"), None),
    ("vLLM", 400, openai("[{'type': 'extra_forbidden', 'loc': ('body', 'tools', 0, 'function', "
     f"'strict'), 'msg': '{EXTRA}'}}]"), None),
    ("Mistral", 422, pydantic(["messages", 0, "assistant", "tool_calls"], EXTRA,
     "extra_forbidden"), None),
    ("Bedrock", 400, openai(f"guardrails: {EXTRA}"), None),
    # Values.
    ("LiteLLM", 400, openai("litellm.UnsupportedParamsError: gpt-5-nano doesn't support "
     "temperature=0.1 while reasoning is active. Only temperature=1 is supported unless "
     "reasoning_effort resolves to 'none'."), None),
    ("OpenAI", 400, openai("Invalid schema for response_format 'x': In context=(), 'oneOf' is not "
     "permitted.", "response_format", "invalid_json_schema"), None),
    ("OpenAI", 400, openai("Invalid schema for function 'f': In context=('properties', 'a'), "
     "'uniqueItems' is not permitted.", "tools[0].function.parameters",
     "invalid_function_parameters"), None),
    ("OpenAI", 400, openai("Unsupported value: 'reasoning_effort' does not support 'minimal' with "
     "this model. Supported values are: 'low', 'medium', and 'high'.", "reasoning_effort",
     "unsupported_value"), None),
    ("OpenAI", 400, openai("Unsupported value: 'stream' does not support true with this model. "
     "Only the default (false) value is supported.", "stream", "unsupported_value"), None),
    ("OpenAI", 400, openai("Invalid 'tools[0].function.name': string does not match pattern.",
     "tools[0].function.name", "invalid_value"), None),
    ("OpenAI", 400, openai("Unsupported tool type: 'web_search'"), None),
    ("DeepSeek", 400, openai("Invalid max_tokens value, the valid range of max_tokens is "
     "[1, 8192]"), None),
    ("vLLM", 400, plain(object="error", message="Requested sample logprobs of 25, which is "
     "greater than max allowed: 20"), None),
    ("vLLM", 400, plain(object="error", message="n must be 1 when using greedy sampling, got 2."),
     None),
    ("vLLM", 400, openai("logit_bias contains out-of-vocab token ids"), None),
    ("vLLM", 400, openai("At most 0 image(s) may be provided in one prompt."), None),
    ("Groq", 400, openai("'n' : number must be at most 1 [type: `range`]"), None),
    ("TGI", 422, plain(error="Input validation error: `inputs` tokens + `max_new_tokens` must be "
     "<= 4096. Given: 100 `inputs` tokens and 9000 `max_new_tokens`"), None),
    ("TGI", 422, f"{BODY}tool_choice: unknown variant `sometimes`, expected one of `auto`, `none`"
     .encode(), None),
    ("TGI", 422, f"{BODY}response_format: missing field `value` at line 1".encode(), None),
    ("LMDeploy", 400, plain(object="error", message="The temperature `9` must be in [0, 2]"),
     None),
    ("Xinference", 500, b"Internal Server Error: 1 validation error for CreateChatCompletion\n"
     b"temperature\n  Input should be less than or equal to 2 [type=less_than_equal]", None),
    # What goes with what.
    ("OpenAI", 400, openai("Invalid value for 'tool_choice': 'tool_choice' is only allowed when "
     "'tools' are specified.", "tool_choice"), None),
    ("OpenAI", 400, openai("Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is "
     "only allowed when 'tools' are specified.", "parallel_tool_calls"), None),
    ("OpenAI", 400, openai("'messages' must contain the word 'json' in some form, to use "
     "'response_format' of type 'json_object'.", "messages"), None),
    ("OpenAI", 400, openai("Invalid parameter: messages with role 'tool' must be a response to a "
     "preceeding message with 'tool_calls'.", "messages.[1].role"), None),
    ("vLLM", 400, openai("Stream options can only be defined when `stream=True`."), None),
    ("vLLM", 400, openai("When using `top_logprobs`, `logprobs` must be set to true."), None),
    ("LlamaFactory", 400, openai("Cannot stream multiple responses."), None),
    # Messages and their roles.
    ("Gemma's template", 400, openai("System role not supported"), None),
    ("Mistral's template", 400, openai("Conversation roles must alternate user/assistant/..."),
     None),
    ("Llama's template", 400, openai("Only user, system and assistant roles are supported!"),
     None),
    ("Mistral", 400, openai("Expected last role User or Tool (or Assistant with prefix True) for "
     "serving but got assistant"), None),
    ("Groq", 400, openai("'messages.0' : for 'role:system' the following must be satisfied["
     "('messages.0.content' : value must be a string)]"), None),
    ("an image", 400, openai("Unsupported image format: webp is not supported"), None),
    # The moment, or the caller.
    ("Groq", 400, openai("Failed to call a function. Please adjust your prompt. See "
     "'failed_generation' for more details.", None, "tool_use_failed"), None),
    ("a plan", 400, openai("The server does not allow more than 10 requests with tools"), None),
    ("a key", 400, openai("The user 'u' is not allowed to use this model"), None),
    ("a key", 400, openai("You are not allowed to use these parameters: seed"), None),
)  # fmt: skip


@pytest.mark.parametrize(
    "row", [*TEACHES, *TEACHES_NOTHING], ids=lambda row: f"{row[0]}-{row[3] or 'nothing'}"
)
def test_real_errors_teach_what_they_say(row: Row) -> None:
    _, status, body, lesson = row
    assert lesson_of(error_of(body, status), ASKED) == lesson


def test_ollama_means_the_effort_where_it_says_thinking() -> None:
    error = error_of(plain(error={"message": '"llama3" does not support thinking'}))
    assert lesson_of(error, FULL) == "reasoning_effort"


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x", "中", "", "a b", "x" * 65, "a,b", '"'])
def test_names_that_no_header_can_tell_are_not_learned(name: str) -> None:
    error = error_of(openai(f"Unknown parameter: '{name}'.", name, "unknown_parameter"))
    assert lesson_of(error, {**FULL, name: 1}) is None


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
        ("max_tokens is too large: 32000. This model supports at most 16384 completion tokens, "
         "whereas you provided 32000.", 16384),
        ("Requested token count exceeds the model's maximum context length of 8192 tokens. You "
         "requested a total of 9100 tokens: 100 tokens from the input messages and 9000 tokens "
         "for the completion.", 8092),
        ("'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context "
         "length is 8192 tokens and your request has 100 input tokens (9000 > 8192 - 100).", 8092),
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 output "
         "tokens and your prompt contains at least 100 input tokens, for a total of at least 5100 "
         "tokens.", 3996),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 100 "
         "`inputs` tokens and 9000 `max_new_tokens`", 3996),
        ("max_tokens: 9000 > 4096, which is the maximum allowed number of output tokens for x",
         4096),
        ("`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is "
         "less than the `context_window` for this model", 8192),
        ("too many tokens: max tokens must be less than or equal to 4096, the maximum output for "
         "this model - received 9000.", 4096),
        ("the token count (100) of your prompt (100) plus max_tokens (9000) cannot exceed the "
         "model's context length (8192)", 8092),
        ("Range of max_tokens should be [1, 2000]", 2000),
        ("The prompt is too long: 9000 tokens, the maximum is 8192 tokens", None),
        ("This model's maximum context length is 4096 tokens, however you requested 5000 tokens.",
         None),
        ("This model's maximum context length is 100 tokens. However, you requested 200 tokens "
         "(150 in the messages, 50 in the completion).", None),
        ("Rate limit reached for tokens per min: Limit 30000, Requested 40000", None),
    ],
)  # fmt: skip
def test_real_errors_tell_a_limit(message: str, limit: int | None) -> None:
    assert value_limit(RequestError(message)) == limit
