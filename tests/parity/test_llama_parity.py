"""Native Baichuan and InternLM against original-style remote code under transformers 4.41.2.

That code (`tests/checkpoints/remote_code/`) is ours; the same comparison with the public code was
made by hand (docs/parity.md). The reference side imports nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parity.comparison import Answers, distance, with_mistake
from tests.parity.llama_cases import KINDS, write_answers
from tests.parity.llama_mistakes import LLAMA_MISTAKES
from tests.parity.llama_texts import CHATS, TEXTS
from trueup.adapt.load import Loaded, load_plan
from trueup.adapt.planning import Wishes, plan_model

pytestmark = pytest.mark.environment


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints, and what the remote code of each says, from one run of the old interpreter."""
    home = tmp_path_factory.mktemp("llama")
    write_answers(home)
    return home


@pytest.fixture(scope="module")
def native(home: Path) -> Callable[[str], Loaded]:
    loaded: dict[str, Loaded] = {}

    def load(name: str) -> Loaded:
        if name not in loaded:
            wishes = Wishes(device="cpu", dtype="float32")
            loaded[name] = load_plan(plan_model(str(home / name), wishes))
        return loaded[name]

    return load


@pytest.mark.parametrize("name", KINDS)
def test_native_logits_and_greedy_tokens_equal_those_of_the_remote_code(
    name: str, native: Callable[[str], Loaded], home: Path
) -> None:
    assert type(native(name).model).__name__ == "LlamaForCausalLM"
    answers = Answers.load(home / f"{name}.float32.npz")
    assert distance(native(name).model, answers, gives_positions=True).is_parity


@pytest.mark.parametrize("name", KINDS)
def test_greedy_tokens_without_a_cache_are_those_with_one(
    name: str, native: Callable[[str], Loaded], home: Path
) -> None:
    import torch

    answers = Answers.load(home / f"{name}.float32.npz")
    input_ids = torch.from_numpy(answers.input_ids).long()[:, -48:]
    attention_mask = torch.from_numpy(answers.attention_mask).long()[:, -48:]
    tokens = [
        native(name).model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=16,
            min_new_tokens=16,
            use_cache=use_cache,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(*tokens)


@pytest.mark.parametrize(
    ("name", "mistake"),
    [(name, mistake) for name, mistakes in LLAMA_MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_in_the_mapping_fails_the_same_comparison(
    name: str, mistake: str, native: Callable[[str], Loaded], home: Path
) -> None:
    mistaken = with_mistake(native(name).model, LLAMA_MISTAKES[name][mistake])
    answers = Answers.load(home / f"{name}.float32.npz")
    assert not distance(mistaken, answers, gives_positions=True).is_parity


@pytest.mark.parametrize("name", ["baichuan-7b", "baichuan2-7b", "internlm", "internlm2"])
def test_every_text_has_the_ids_of_the_own_tokenizer_and_decodes_as_there(
    name: str, native: Callable[[str], Loaded], home: Path
) -> None:
    tokenizer = native(name).tokenizer
    own = json.loads((home / f"{name}.json").read_text())
    assert len(TEXTS) > 150
    for text, ids, plain, decoded in zip(
        TEXTS, own["ids"], own["plain"], own["decoded"], strict=True
    ):
        assert (text, tokenizer.encode(text)) == (text, ids)
        assert (text, tokenizer.encode(text, add_special_tokens=False)) == (text, plain)
        assert (text, tokenizer.decode(ids, skip_special_tokens=True)) == (text, decoded)


@pytest.mark.parametrize("name", ["baichuan2-7b", "internlm", "internlm2"])
def test_every_conversation_is_the_prompt_of_the_models_own_chat_function(
    name: str, native: Callable[[str], Loaded], home: Path
) -> None:
    own = json.loads((home / f"{name}.json").read_text())["chats"]
    known = [(chat, ids) for chat, ids in zip(CHATS, own, strict=True) if ids is not None]
    assert len(known) >= len(CHATS) - 2
    for chat, ids in known:
        assert (chat, native(name).encode_chat(chat)) == (chat, ids)
        by_template = native(name).tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        assert (chat, by_template) == (chat, ids)
