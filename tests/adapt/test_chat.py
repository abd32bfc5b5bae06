from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapt.facts import plain_checkpoint
from tests.checkpoints.build import config_of, write_tokenizer
from trueup.adapt.chat import chat_encoder
from trueup.adapt.native.chat_format import encode_chat
from trueup.adapt.native.glm import GLM4
from trueup.adapt.native.tokenizer import build_tokenizer
from trueup.errors import RequestError

STRICT = """
{%- for message in messages %}
{%- if message['role'] == 'system' %}{{ raise_exception('no system messages here') }}{% endif %}
{{- '<|user|>' ~ message['content'] }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}"""
CHECKPOINT = plain_checkpoint()
QUESTION = {"role": "user", "content": "<|user|> hello"}
ANSWER = {"role": "assistant", "content": "the "}


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    write_tokenizer("glm4", tmp_path)
    return build_tokenizer("glm4", tmp_path, config=config_of("glm4"), tokenizer_config={})


def test_a_native_family_encodes_with_its_own_format(tokenizer: Any) -> None:
    encode = chat_encoder(tokenizer, CHECKPOINT, GLM4.speech)
    assert encode([QUESTION]) == encode_chat("glm4", tokenizer, [QUESTION])
    continued = encode([QUESTION, ANSWER], continue_final_message=True)
    assert continued == encode_chat(
        "glm4", tokenizer, [QUESTION, ANSWER], continue_final_message=True
    )


def test_a_library_model_encodes_with_its_template(tokenizer: Any) -> None:
    tokenizer.chat_template = STRICT
    encode = chat_encoder(tokenizer, CHECKPOINT, None)
    assert tokenizer.decode(encode([QUESTION])) == "<|user|><|user|> hello<|assistant|>"
    assert tokenizer.decode(encode([QUESTION], add_generation_prompt=False)).endswith("hello")
    continued = encode([QUESTION, ANSWER], continue_final_message=True)
    assert tokenizer.decode(continued).rstrip().endswith("<|user|>the")


@pytest.mark.parametrize(
    ("messages", "options", "param", "cause"),
    [
        ([{"role": "system", "content": "x"}], {}, "messages", "no system messages here"),
        ([QUESTION], {"continue_final_message": True}, "continue_final_message", "`user`"),
    ],
)
def test_what_the_template_refuses_is_the_clients_error(
    messages: list[dict[str, str]],
    options: dict[str, bool],
    param: str,
    cause: str,
    tokenizer: Any,
) -> None:
    tokenizer.chat_template = STRICT
    with pytest.raises(RequestError) as caught:
        chat_encoder(tokenizer, CHECKPOINT, None)(messages, **options)
    assert caught.value.param == param
    assert cause in caught.value.cause


def test_a_model_without_a_template_does_not_chat(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(RequestError, match="completes text") as caught:
        chat_encoder(tokenizer, CHECKPOINT, None)([QUESTION])
    assert "/v1/completions" in str(caught.value.hint)
