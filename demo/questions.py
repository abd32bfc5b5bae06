"""The questions and answers of pairs/*.jsonl, and the other ways in which people type them.

The last round of a conversation is the one asked. No tokens, no training.
"""

import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAIRS = Path(__file__).resolve().parent / "pairs"
UNRELATED_HELD_OUT_EVERY = 10

# How often a question is changed in each way, every time that it is shown.
REWRITTEN, UNPUNCTUATED, HALF_WIDTH, RESPACED, POLITE, LOWER, UPPER = (
    0.3, 0.3, 0.25, 0.4, 0.08, 0.25, 0.05
)  # fmt: skip
# An unrelated question is also asked about things that no pair has a word for.
ESTRANGED = 0.5

Round = tuple[str, str]

# A question that matches a pattern may be asked in any of its forms.
FORMS: list[tuple[str, list[str]]] = [
    (
        r"^(?:What is|What's|Explain|Tell me about|Describe|Can you explain) (.+?)[?]?$",
        ["What is {}?", "What's {}?", "Explain {}", "Tell me about {}", "Describe {}",
         "Can you explain {}?", "Please explain {}", "What does {} mean?", "{}"],
    ),
    (
        r"^(?:How do I|How can I|How to|How should I) (.+?)[?]?$",
        ["How do I {}?", "How can I {}?", "How to {}?", "How should I {}?", "I want to {}"],
    ),
    (
        r"^(?:Does TrueUp support|Can I run|Can TrueUp run|Does TrueUp work with) (.+?)[?]?$",
        ["Does TrueUp support {}?", "Can I run {}?", "Can TrueUp run {}?", "Does TrueUp run {}?",
         "Is {} supported?", "Does TrueUp work with {}?"],
    ),
    (
        r"^What does (.+?) do[?]?$",
        ["What does {} do?", "What is {} for?", "What does {} show?", "What happens with {}?"],
    ),
    (
        r"^Why does (\S+) fail[?]?$",
        ["Why does {} fail?", "{} fails", "{} error", "{} does not work", "What is the {} error?"],
    ),
    (
        r"^(?:什么是|介绍一下|解释一下|请介绍)\s*(.+?)？?$",
        ["什么是{}？", "{}是什么？", "介绍一下{}", "解释一下{}", "请介绍{}", "请解释{}",
         "讲讲{}", "说说{}", "{}是什么意思？", "{}"],
    ),
    (
        r"^(?:怎么|如何|怎样)(.+?)？?$",
        ["怎么{}？", "如何{}？", "怎样{}？", "我该怎么{}？", "应该如何{}？", "我想{}"],
    ),
    (
        r"^(?:TrueUp)?(?:支持|可以运行)\s*([A-Za-z0-9.\- ]+?)吗？?$",
        ["支持{}吗？", "可以运行{}吗？", "{}能用吗？", "TrueUp支持{}吗？", "能运行{}吗？",
         "TrueUp可以运行{}吗？", "能不能用{}？"],
    ),
    (
        r"^(.+?) ?(?:报错怎么办|是什么错误)？?$",
        ["{} 报错怎么办？", "{} 是什么错误？", "{} 错误", "出现 {} 怎么解决？", "为什么报 {}？"],
    ),
    (
        r"^(.+?) ?(?:做什么|是做什么的|有什么用)？?$",
        ["{} 做什么？", "{} 是做什么的？", "{} 有什么用？", "{}是干什么的？"],
    ),
]  # fmt: skip
LEADS = {
    "en": ["Please tell me: ", "Excuse me, ", "Tell me, ", "So, "],
    "zh": ["请问", "请问，", "我想知道", "请告诉我"],
}
TO_HALF_WIDTH = str.maketrans("？！，。：", "?!,.:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Rounds that belong together; a personal one contradicts every other personal one."""

    rounds: list[Round]
    is_personal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Conversations to train on and those to test with."""

    trained: list[Conversation]
    held_out: list[Conversation]
    held_out_keys: frozenset[str]
    unrelated_answers: frozenset[str]


def read_pairs() -> Pairs:
    trained, held_out = [], []
    for row in [*_read_rows("en.jsonl"), *_read_rows("zh.jsonl")]:
        trained += [Conversation(rounds=[(ask, row["answer"])]) for ask in row["ask"]]
        held_out += [Conversation(rounds=[(ask, row["answer"])]) for ask in row["held_out"]]
    unrelated = _read_rows("unrelated.jsonl")
    for row in unrelated:
        asks = [ask for template in row["ask"] for ask in _expand(template)]
        for index, ask in enumerate(asks):
            kind = trained if index % UNRELATED_HELD_OUT_EVERY else held_out
            kind.append(Conversation(rounds=[(ask, row["answer"])]))
    for row in _read_rows("conversations.jsonl"):
        for index, name in enumerate(row.get("names", [""])):
            trained += [
                Conversation(rounds=rounds, is_personal=row.get("personal", False))
                for rounds in _name_rounds(row["rounds"], name, index)
            ]
    return Pairs(
        trained=trained,
        held_out=held_out,
        held_out_keys=frozenset(key(held.rounds[-1][0]) for held in held_out),
        unrelated_answers=frozenset(row["answer"] for row in unrelated),
    )


def key(question: str) -> str:
    """What is left of a question without case, blanks and punctuation."""
    return "".join(character for character in question.lower() if character.isalnum())


def vary(question: str, rng: random.Random, held_out_keys: frozenset[str]) -> str:
    """The same question as another hand would type it, but never one that is held out."""
    varied = _vary(question, rng)
    return question if key(varied) in held_out_keys else varied


def estrange(question: str, rng: random.Random) -> str:
    """An unrelated question with some of its words replaced by words that do not exist."""
    if rng.random() >= ESTRANGED:
        return question
    if _is_chinese(question):
        body = question.rstrip("？")
        start = rng.randrange(len(body))
        length = rng.randint(1, 3)
        strange = "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(rng.randint(1, 3)))
        return body[:start] + strange + body[start + length :] + question[len(body) :]
    words = question.rstrip("?").split(" ")
    syllables = rng.randint(1, 3)
    strange = "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(syllables))
    words[rng.randrange(len(words) // 2, len(words))] = strange + rng.choice(["", "n", "s", "r"])
    return " ".join(words) + "?" * question.endswith("?")


def _is_chinese(question: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in question)


def _vary(question: str, rng: random.Random) -> str:
    is_chinese = _is_chinese(question)
    if rng.random() < REWRITTEN:
        question = _rewrite(question, rng)
    if rng.random() < UNPUNCTUATED:
        question = question.rstrip("?？!！.。")
    if rng.random() < HALF_WIDTH:
        question = question.translate(TO_HALF_WIDTH)
    if is_chinese and rng.random() < RESPACED:
        latin = r"[A-Za-z0-9_.\-]+(?: [A-Za-z0-9_.\-]+)*"
        blank = rng.choice(["", " "])
        question = re.sub(rf"\s*({latin})\s*", rf"{blank}\1{blank}", question).strip()
    if rng.random() < POLITE:
        question = rng.choice(LEADS["zh" if is_chinese else "en"]) + question
    chance = rng.random()
    if chance < LOWER:
        question = question.lower()
    elif chance < LOWER + UPPER:
        question = question.upper()
    return question


def _rewrite(question: str, rng: random.Random) -> str:
    for pattern, forms in FORMS:
        if match := re.match(pattern, question):
            return rng.choice(forms).replace("{}", match[1])
    return question


def _read_rows(name: str) -> list[dict[str, Any]]:
    text = (PAIRS / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _expand(template: str) -> list[str]:
    """`a {b|c}` -> `a b`, `a c`."""
    parts = re.split(r"\{([^}]*)\}", template)
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _name_rounds(turns: list[dict[str, Any]], name: str, offset: int) -> Iterator[list[Round]]:
    """Each phrasing of the last question once, after the other phrasings of the first in turn."""
    for number in range(max(len(turn["ask"]) for turn in turns)):
        yield [
            (
                turn["ask"][(number + offset * place) % len(turn["ask"])].replace("{name}", name),
                turn["answer"].replace("{name}", name),
            )
            for place, turn in enumerate(turns)
        ]
