"""What the demo model answers, computed by its own network from its own weights."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from demo.questions import Conversation, read_pairs
from demo.train import Encoder, answer, build_model, join_chats

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKPOINT = ROOT / "src" / "trueup" / "demo_checkpoint"
QUESTIONS = ["你好", "Hello", "什么是TrueUp？", "What is TrueUp?", "五个错误是什么？"]
RIGHT_SHARE = 0.95
HELD_OUT_SHARE = 0.85
LONG_SHARE = 0.9
LONG_CHATS = 20
EVERY = 30
NOISE = 0.5  # of the standard deviation of each tensor


class Demo:
    """The network of the checkpoint's modeling_chatglm.py and its greedy answers."""

    def __init__(self) -> None:
        self.pairs = read_pairs()
        self._encoder = Encoder()
        self._model: Any = build_model().eval()
        self.restore()

    def restore(self) -> None:
        tensors = load_file(CHECKPOINT / "model.safetensors")
        self._model.load_state_dict(
            {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        )

    def perturb(self) -> None:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self._model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                spread = parameter.std() if parameter.std() > 0 else 1.0
                parameter += NOISE * spread * noise

    def answer(self, question: str, before: list[tuple[str, str]] | None = None) -> str:
        return answer(self._model, self._encoder, before or [], question)

    def right_share(self, conversations: list[Conversation]) -> float:
        chats = [conversation.rounds for conversation in conversations]
        right = [self.answer(chat[-1][0], chat[:-1]) == chat[-1][1] for chat in chats]
        return sum(right) / len(right)


@pytest.fixture(scope="module")
def demo() -> Demo:
    return Demo()


def test_greetings_are_answered_in_their_language(demo: Demo) -> None:
    assert demo.answer("你好").startswith("你好！我是 TrueUp")
    assert demo.answer("Hello").startswith("Hello! I am the small demonstration model of TrueUp")


def test_nearly_all_questions_that_it_learned_are_answered_exactly(demo: Demo) -> None:
    assert demo.right_share(demo.pairs.trained[::EVERY]) >= RIGHT_SHARE


def test_most_questions_in_words_that_it_never_saw_are_answered_exactly(demo: Demo) -> None:
    assert demo.right_share(demo.pairs.held_out[::3]) >= HELD_OUT_SHARE


def test_what_was_said_before_counts(demo: Demo) -> None:
    for name in ("Kate", "Oscar"):
        introduction = (f"My name is {name}.", f"Nice to meet you, {name}!")
        assert demo.answer("What is my name?", [introduction]) == f"Your name is {name}."
    assert demo.answer("What is my name?") == "You have not told me your name yet."


def test_a_long_chat_does_not_confuse_it(demo: Demo) -> None:
    chats = [
        chat for chat in join_chats(demo.pairs.trained, random.Random(0)) if len(chat) in (6, 7, 8)
    ]
    last = [Conversation(rounds=chat) for chat in chats[:LONG_CHATS]]
    assert len(last) == LONG_CHATS
    assert demo.right_share(last) >= LONG_SHARE


def test_other_weights_give_other_answers(demo: Demo) -> None:
    right = [demo.answer(question) for question in QUESTIONS]
    try:
        demo.perturb()
        perturbed = [demo.answer(question) for question in QUESTIONS]
    finally:
        demo.restore()
    assert all(a != b for a, b in zip(right, perturbed, strict=True))
    assert [demo.answer(question) for question in QUESTIONS] == right


def test_each_language_has_at_least_sixty_answers_with_several_phrasings() -> None:
    for name in ("en.jsonl", "zh.jsonl"):
        lines = (ROOT / "demo" / "pairs" / name).read_text(encoding="utf-8").splitlines()
        assert len(lines) >= 60
