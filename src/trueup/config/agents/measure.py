"""What people write for times, shares and languages, as numbers and codes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

UNITS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds", "毫秒"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "秒", "秒钟"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes", "分", "分钟"), 60.0),
}
NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
TIME = re.compile(
    rf"(?:within|under|less than|at most|小于|不超过|低于)?\s*[<≤=~≈]*{NUMBER}"
    r"([a-z]+|[一-鿿]*?)\s*(?:以内|之内|内|以下)?"
)
SHARE = re.compile(
    rf"(?:at least|over|above|大于|不低于|超过|高于)?\s*[>≥=~≈]*{NUMBER}"
    r"(%|％|percent)?\s*\+?\s*(?:以上)?"
)
# A bare number above this is hardly meant as seconds.
LONGEST_BARE_SECONDS = 120
LANGUAGES = {
    **dict.fromkeys(("zh", "chinese", "中文", "汉语", "mandarin", "zh-cn", "zh_cn", "cn"), "zh"),
    **dict.fromkeys(("en", "english", "英文", "英语", "en-us", "en_us"), "en"),
    **dict.fromkeys(("ja", "japanese", "日文", "日语"), "ja"),
    **dict.fromkeys(("ko", "korean", "韩文", "韩语"), "ko"),
    **dict.fromkeys(("de", "german", "德文", "德语"), "de"),
    **dict.fromkeys(("fr", "french", "法文", "法语"), "fr"),
    **dict.fromkeys(("es", "spanish", "西班牙语"), "es"),
    **dict.fromkeys(("ru", "russian", "俄文", "俄语"), "ru"),
}
UNDECIDED = re.compile(
    r"(tbd|tba|todo|待定|未定|待确认|待选|待补充)(?![\w/.-]).*"
    r"|n/?a|none|null|nil|undecided|pending|unknown|无|\?+|-+|",
    re.IGNORECASE | re.DOTALL,
)


def is_undecided(value: object) -> bool:
    """Whether a model's name says that there is none yet: null, empty, `TBD`, `待定`."""
    return value is None or (isinstance(value, str) and bool(UNDECIDED.fullmatch(value.strip())))


def seconds_of(value: object, unit: str | None = None) -> float | None:
    """A time such as 2, "2s", "< 500 ms" or "2 秒以内"; None where it is not clear.

    `unit` is what the key says of a bare number.
    """
    written = None
    if isinstance(value, str):
        match = TIME.fullmatch(value.strip().lower())
        if match is None:
            return None
        number, written = float(match[1]), match[2] or None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        return None
    unit = written or unit
    if unit is None and number > LONGEST_BARE_SECONDS:
        return None
    scale = 1.0 if unit is None else UNITS.get(unit)
    if scale is None or not math.isfinite(number) or number <= 0:
        return None
    return round(number * scale, 6)


def share_of(value: object) -> float | None:
    """A share such as 0.85, 85, "85%" or ">= 85 %" from 0 to 1; None where it is not clear."""
    is_percent = False
    if isinstance(value, str):
        match = SHARE.fullmatch(value.strip().lower())
        if match is None:
            return None
        number, is_percent = float(match[1]), bool(match[2])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        return None
    # A bare 1 is all of it, a bare 85 is percent.
    share = number / 100 if is_percent or number > 1 else number
    return round(share, 6) if 0 < share <= 1 else None


def languages_of(value: object) -> tuple[str, ...] | None:
    """The codes of languages: ["中文", "English"], "zh,en"; None where one is not known."""
    words: Iterable[object] = value if isinstance(value, list) else ()
    if isinstance(value, str):
        words = re.split(r"[,;/、，；\s]+", value.strip())
    codes = [LANGUAGES.get(word.strip().lower()) for word in words if isinstance(word, str)]
    known = tuple(dict.fromkeys(code for code in codes if code))
    is_complete = len(codes) == len(list(words)) and None not in codes
    return known if known and is_complete else None
