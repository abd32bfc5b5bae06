"""Texts and conversations for the tokenizers and chat formats of Baichuan and InternLM."""

from __future__ import annotations

from tests.checkpoints.vocabularies import CORPUS

CONTENTS = (
    *("", " ", "  ", " a", "a ", "\n", "\n\n", " \n ", "\t", "\r\n", "\u3000", "\xa0", "▁", "▁▁ ▁"),
    *("hello", "Hello, world!", "  two  spaces  ", "don't", "2023年10月", "1234567890", "3.14159"),
    *(
        "你好",
        "你好，世界。",
        "，，，。。。",
        "——",
        "———",
        "————",
        "a——b",
        "-",
        "--",
        "---",
        "a-b=c+d",
    ),
    *("+=-", "=+=", "<h1>", "<h1/>", "</h1>", "<h1", "h1>", "<<h1>>", "<h1></h1>", "<SEP><CLS>"),
    *("<reserved_106>", "<reserved_107", "<reserved_1066>"),
    *("<eoh>", "<eoa>", "<eoh", "<eoh><eoa>"),
    *("<TOKENS_UNUSED_2>", "<|User|>:", "<|Bot|>:", "😀", "👨\u200d👩\u200d👧", "é", "e\u0301"),
    *("𠮷野家", "\ufeffx", "ру́сский", "日本語", "한국어", "ไทย", "x" * 60, "ab" * 40, "哈" * 30),
    *(" " * 17, "\n" * 9, "\t\t\t x", "def f(x):\n    return x + 1\n", "https://a.b/c?d=e&f=g#h"),
    *("the the the", "一个一个", "The  Quick\tBrown\nFox", "¡¿ÀÉ", "²³¼", "ﬁ", "Ⅷ", "١٢٣"),
)
_CORPUS = CORPUS.read_text(encoding="utf-8")
PASSAGES = tuple(_CORPUS[at : at + 97] for at in range(0, min(len(_CORPUS), 6000), 311))
PAIRS = tuple(f"{left}{right}" for left in CONTENTS[14:60:7] for right in CONTENTS[3:50:5])
TEXTS = [*CONTENTS, *PASSAGES, *PAIRS]


def _says(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    messages = [] if system is None else [{"role": "system", "content": system}]
    roles = ("user", "assistant")
    return messages + [
        {"role": roles[at % 2], "content": content} for at, content in enumerate(contents)
    ]


CHATS = [
    _says("你好"),
    _says("hello"),
    _says(" leading space"),
    _says("line\nbreak\n"),
    _says(""),
    _says("1 + 1 = ?", "2", "and 2-1?"),
    _says("你好", "你好，有什么可以帮你？", "写一首诗。", "床前明月光\n疑是地上霜", "谢谢"),
    _says(*(f"turn {number}" for number in range(7))),
    _says("who are you", system="You are a helpful assistant."),
    _says("你是谁", "我是模型", "真的吗", system="你是一个助手。\n"),
    _says("def f(x):\n    return x\n", "<h1>", "——"),
]
