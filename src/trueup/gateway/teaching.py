"""What an error teaches of a backend: a parameter that it does not take, or nothing.

Only words that say *unsupported* or *unknown* teach. An error about a value passes unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trueup.errors import BackendError, RequestError, TrueUpError
from trueup.protocol.errors import code_of

TEACHING_CODES = frozenset(
    {"unsupported_parameter", "unknown_parameter", "extra_forbidden", "unrecognized_parameter",
     "unsupported_field", "unsupported_param", "unknown_field"}
)  # fmt: skip
# A wrong request, in the ways that servers say so: some with a 500.
STATUSES = frozenset({400, 405, 422, 500, 501})
# Clients choose names; what is kept and told in a header is a plain one.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
PROTECTED = frozenset({"model", "messages", "prompt", "input", "stream", "trueup"})
# Plain English as well as names: only in quotes or after one of these words do they mean names.
COMMON_WORDS = frozenset({"n", "stop", "user", "seed", "store", "metadata", "tools", "functions"})
NAMED = r"(?:(?:parameter|argument|field|param|option|input|key|property|name)s?|参数|字段)"

UNSUPPORTED = re.compile(
    rf"\bunsupported\s+(?:request\s+)?{NAMED}|\bunsupported\s*(?::|\Z)|['\"`]\s+unsupported\b"
    rf"|\bun(?:known|recogni[sz]ed|expected)\s+(?:request\s+|keyword\s+)?{NAMED}"
    r"|\b(?:(?:is|are|was|were)\s+(?:currently\s+)?(?:not|un)[\s-]*|(?:is|are|was|were)n't\s+)"
    r"(?:yet\s+|an?\s+)?"
    r"(?:support|recogni[sz]ed|permitted|allowed(?!\s+to\b)|accepted|implemented|available"
    r"|known)"
    r"|\b(?:does|do|did)(?:\s+not|n't)\s+(?:currently\s+)?(?:support|accept|recogni[sz]e|allow)"
    r"|\bextra\s+(?:inputs|fields)\s+(?:are\s+)?not\s+permitted"
    r"|\b(?:not|no)\s+(?:supported|implemented|support\s+for|allowed\Z)"
    r"|\bcan\s*not\s+(?:handle\b|be\s+used\s+with\s+this\s+model|be\s+used\Z)|\bdoes\s+not\s+exist\b"
    r"|\bis\s+not\s+enabled\b|\bunsupported_parameter\b"
    rf"|\brequires\s+--enable-auto-tool-choice|\bno\s+such\s+{NAMED}"
    rf"|\bis\s+not\s+a\s+(?:valid|known)\s+{NAMED}|\bunexpected\s+keyword\s+argument"
    r"|不支持|不支援|未知|无法识别|不允许",
    re.I,
)
# From here on a message lists what would be right.
RIGHT_ONES = re.compile(
    r",?\s*(?:expected one of|(?:supported|permitted|allowed|valid|possible|known)\s+"
    r"(?:values|parameters|fields|ones|options|names)\b|one of:)",
    re.I,
)
# What says that a value is wrong, whatever else is said.
ABOUT_A_VALUE = re.compile(
    r"\bmust\s+be\b|\bshould\s+be\b|\bat\s+(?:most|least)\b|\b(?:less|greater|more|fewer)\s+than\b|<=|>="
    r"|\bbetween\b|\bmaximum\b|\bminimum\b|\bexpected\s+(?:one\s+of|a)\b|\binvalid\s+value\b"
    r"|\bunsupported\s+value\b|\btoo\s+(?:long|large|many|small)\b|\bexceeds?\b"
    r"|\bonly\b[^.]*\bvalues?\b|\bvalues?\b[^.]*\b(?:is|are)\s+(?:not\s+supported|supported)"
    r"|\bsupport\w*\s+\w+\s*=|\bonly\s+\w+\s*=|\binvalid\s+schema\b"
    r"|\bkeys?\s+['\"`]|\bnumber\s+of\b|\bvalue\s+(?:of\b|['\"`])",
    re.I,
)
# A part of one tool or message: without the whole field the request is another one.
NESTED = re.compile(
    r"\b(?:tools|functions|messages)['\"]?(?:[.\[]|,\s*)\d"
    r"|\b(?:response_format|tool_choice)[.\[]\w"
)
DEVELOPER = re.compile(r"\bdeveloper\b|unknown role|unexpected role|unsupported role", re.I)
ROLE = re.compile(r"messages\W+\d+\W+(?:[\w\[\]]+\.)?role")
# Names as people write them, the longer ones first.
SPOKEN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.I))
    for name, pattern in (
        ("tool_choice", r"\btool[ _-]choice\b"),
        ("parallel_tool_calls", r"\bparallel[ _-](?:tool|function)[ _-]?calls?\b"),
        (
            "response_format",
            r"\bresponse[ _-]format\b|\bstructured outputs?\b|\bjson[ _-](?:mode|schema|object)\b",
        ),
        ("stream_options", r"\bstream[ _-]options?\b"),
        ("logprobs", r"\blog[ _-]?prob(?:s|abilities)?\b"),
        ("tools", r"\btools\b|\b(?:tool|function)[ _-](?:calling|calls?|use)\b|工具调用|函数调用"),
        ("functions", r"\bfunctions\b|\bfunction[ _-]calling\b"),
        ("reasoning_effort", r"\bsupport\w*\s+(?:thinking|reasoning)\b"),
    )
)  # fmt: skip
# What a parameter may not go with.
TOGETHER = frozenset({"together", "at the same time", "both", "combination"})
COMPANY = re.compile(
    r"\b(?:together|at the same time|both|combination|when|if|while|with|without|unless|and)\b",
    re.I,
)
TOKEN_NAMES = r"(?:max[_ ](?:completion_|new_)?tokens|completion tokens|output tokens)"
LIMITS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        TOKEN_NAMES + r"\W[^.]{0,80}?(?:<=|≤|at most|less than or equal to"
        r"|maximum(?: value)?(?: of| is)?|up to|not exceed|cannot exceed|limit(?: of| is)?"
        r"|between \d+ and|\[\d+,)\D{0,20}(\d+)",
        r"(?:at most|up to|maximum(?: of| is)?|no more than)\D{0,12}(\d+)\s+" + TOKEN_NAMES,
        TOKEN_NAMES + r"\W+\d+ > (\d+)",
    )
)
# A context and the prompt in it: the rest is for the answer.
ROOMS = tuple(
    re.compile(pattern, re.I | re.S)
    for pattern in (
        r"maximum context length (?:is|of) (?P<all>\d+) tokens.*?\b(?P<prompt>\d+) (?:tokens )?"
        r"(?:in the messages|of text input|in the prompt|input tokens|from the (?:input|messages"
        r"|prompt))",
        r"prompt \((?P<prompt>\d+)\) plus max_tokens \(\d+\) cannot exceed the model's context "
        r"length \((?P<all>\d+)\)",
        r"`max_new_tokens` must be <= (?P<all>\d+)\D+(?P<prompt>\d+) `inputs`",
    )
)


def lesson_of(error: TrueUpError, shape: Mapping[str, Any]) -> str | None:
    """The parameter of the request that the server says it does not take; None for no lesson.

    `developer` stands for the role of that name. The lesson of `max_tokens` is its successor's
    name.
    """
    if not isinstance(error, RequestError | BackendError) or error.status not in STATUSES:
        return None
    text, code = RIGHT_ONES.split(error.cause, maxsplit=1)[0], code_of(error)
    param = error.param if isinstance(error, RequestError) else None
    if _has_developer(shape) and _is_about_role(text, param):
        return "developer"
    if param and NESTED.match(param):
        return None
    if code in TEACHING_CODES and param:
        return _allowed(_top(param), shape)
    if NESTED.search(text) or not UNSUPPORTED.search(text):
        return None
    if ABOUT_A_VALUE.search(text) and not re.search(r"extra inputs|unexpected keyword", text, re.I):
        return None
    for clause in re.split(r"(?<=[.;!?])\s+", text):
        if UNSUPPORTED.search(clause) and (found := _named(clause, shape)):
            return found
    if param and (found := _allowed(_top(param), shape)):
        return found
    return None


def is_about_value(error: TrueUpError, name: str, value: Any) -> bool:
    """Whether an error that names a parameter speaks of the value that was sent."""
    values = list(value.values()) if isinstance(value, dict) else [value]
    for each in values:
        if isinstance(each, bool) or each is None:
            continue
        if isinstance(each, int | float):
            number = "|".join({re.escape(str(each)), re.escape(f"{each:g}")})
            spelt = re.escape(name)
            # A number says many things: it is the value where it stands beside the name.
            pattern = (
                rf"{spelt}\W*(?:(?:of|is|value|to)\W+)?(?:{number})(?![\w.]*\d|\w)"
                rf"|(?<![\w.])(?:{number})\s+{spelt}\b"
            )
        elif isinstance(each, str) and each.strip() and each != name:
            pattern = rf"(?<!\w){re.escape(each)}(?!\w)"
        else:
            continue
        if re.search(pattern, error.cause):
            return True
    return False


def is_about_company(error: TrueUpError, name: str, shape: Mapping[str, Any]) -> bool:
    """Whether an error says that a parameter is not taken beside something else."""
    found = COMPANY.search(error.cause)
    if found is None:
        return False
    others = shape.keys() - PROTECTED - {name}
    return found[0].lower() in TOGETHER or bool(set(re.findall(r"\w+", error.cause)) & others)


def value_limit(error: TrueUpError) -> int | None:
    """The most tokens that the server says an answer may have; None where it says nothing."""
    for pattern in ROOMS:
        if found := pattern.search(error.cause):
            room = int(found["all"]) - int(found["prompt"])
            return room if room > 0 else None
    for pattern in LIMITS:
        if (found := pattern.search(error.cause)) and int(found[1]) > 0:
            return int(found[1])
    return None


def _named(clause: str, shape: Mapping[str, Any]) -> str | None:
    places = []
    for name in shape:
        quoted = re.search(rf"['\"`‘“]{re.escape(name)}['\"`’”]", clause)
        bare = None
        if name not in COMMON_WORDS:
            spelt = rf"{re.escape(name)}|{re.escape(_camel(name))}"
            bare = re.search(rf"(?<![A-Za-z0-9_.])(?:{spelt})(?![A-Za-z0-9_])", clause)
        else:
            bare = re.search(rf"{NAMED}\W+(?:supplied\W+)?{re.escape(name)}\b", clause, re.I)
            bare = bare or re.search(
                rf"\b{re.escape(name)}\s*(?::|\n)\s*extra (?:inputs|fields)", clause, re.I
            )
            bare = bare or re.search(
                rf"{NAMED}\b[^:]*:\s*(?:\w+,\s*)*{re.escape(name)}\b", clause, re.I
            )
            bare = bare or re.search(rf"\A{re.escape(name)} not allowed", clause, re.I)
            bare = bare or re.search(rf"\A{re.escape(name)}:? (?:is|are|un)\b", clause, re.I)
            bare = bare or re.search(rf"\A{re.escape(name)}:? un", clause, re.I)
            bare = bare or re.search(rf"support(?:s|ed)?\W+{re.escape(name)}\W*\Z", clause, re.I)
        if (match := quoted or bare) and (allowed := _allowed(name, shape)):
            places.append((match.start(), allowed))
    if places:
        return min(places)[1]
    for name, pattern in SPOKEN:
        if name in shape and pattern.search(clause):
            return name
    # vLLM without a tool parser: leaving the choice out leaves the tools.
    is_parser = re.search(r"tool[ _-]choice|tool-call-parser", clause, re.I)
    if "tools" in shape and "tool_choice" not in shape and is_parser:
        return "tools"
    return None


def _allowed(name: str, shape: Mapping[str, Any]) -> str | None:
    if name not in shape or name in PROTECTED or not NAME.fullmatch(name):
        return None
    # It is never dropped: the lesson is its other name.
    return None if name == "max_tokens" and "max_completion_tokens" in shape else name


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)


def _top(param: str) -> str:
    return re.split(r"[.\[]", param, maxsplit=1)[0]


def _has_developer(shape: Mapping[str, Any]) -> bool:
    messages = shape.get("messages")
    return isinstance(messages, list) and any(
        isinstance(each, dict) and each.get("role") == "developer" for each in messages
    )


def _is_about_role(text: str, param: str | None) -> bool:
    """Whether the role `developer` is what a server does not know: named, or not in its list."""
    if DEVELOPER.search(text) and re.search(r"role|角色|unknown variant", text, re.I):
        return True
    return bool(param and ROLE.fullmatch(param)) or "does not support 'developer'" in text
