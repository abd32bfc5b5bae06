"""The errors of other servers, in whatever shape they come, as ours; and what they teach.

Nothing is guessed from HTML or from a status alone beyond what the status says.
"""

from __future__ import annotations

import html
import logging
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from trueup.errors import BackendError, CapacityError, RequestError, TrueUpError

log = logging.getLogger(__name__)

# What reading foreign bytes may raise where they are in a shape that nobody thought of.
ODD = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
MAX_MESSAGE_CHARACTERS = 2000
MAX_TITLE_CHARACTERS = 200
# Errors are wrapped in errors, by servers behind servers.
MAX_DEPTH = 8
MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)\b.*", re.I | re.S)
# What a terminal would obey.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# It becomes a label of metrics.
CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# What a TrueUp behind this one has tried often enough.
# The status of an error that an answer with status 200 holds, where it gives itself none.
STATED_IN_AN_ANSWER = 502
UNKNOWN_PARAMETER = frozenset({"unknown_parameter", "unsupported_parameter"})
FINAL_CODES = frozenset({"answer_rejected"})
# Servers that meet a wrong request with a 500 (Xinference 4.1, for one) say so in these words.
VALIDATION = re.compile(
    r"\bvalidation errors?\b(?:.*?)\bfor\s+(?!\w*(?:Response|Chunk|Output))\w", re.I | re.S
)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> TrueUpError:
    """The error that a response with another status than 200 is."""
    wait = retry_after_seconds(headers.get("retry-after", ""))
    # A redirect, a success without an answer or a number of its own is a fault of the backend.
    told = status if 400 <= status < 600 else 502
    text = body.strip().removeprefix(b"\xef\xbb\xbf")
    shape: Any = None
    try:
        shape = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        media = headers.get("content-type", "")
        shape = _plain(status, text, media)
    if isinstance(shape, dict):
        stated = shape.get("error") or shape
    else:
        stated = shape or f"the backend answered with status {status}{_away(headers)}"
    if told == 500 and VALIDATION.search(_message(stated)):
        told = 400
    return stated_error(stated, status=told, retry_after_seconds=wait)


def stated_error(
    stated: Any, *, status: int, retry_after_seconds: float | None = None
) -> TrueUpError:
    """The error that a backend stated in its own words, in OpenAI's shape or any other.

    `status` is the HTTP status that it had or is to have.
    """
    shape = _innermost(stated)
    words: dict[str, Any] = {
        name: _bounded(value)
        for name in ("where", "hint")
        if isinstance(value := shape.get(name), str)
    }
    code, param = shape.get("code"), shape.get("param")
    detail = shape.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        param, code = _place(detail[0].get("loc")), detail[0].get("type")
    if status == STATED_IN_AN_ANSWER:
        status = _stated_status(shape, status)
    is_code = isinstance(code, str) and CODE.fullmatch(code)
    words["code"] = code if is_code else "backend_error"
    cause = _message(stated) or "the backend stated an error without a message"
    if hint := words.get("hint"):  # `error_body` adds it again
        cause = cause.removesuffix(f"; {hint}")
    if status in (429, 503):
        wait = 1.0 if retry_after_seconds is None else retry_after_seconds
        return CapacityError(cause, status=status, retry_after_seconds=wait, **words)
    if status < 500:
        param = param if isinstance(param, str) else None
        return RequestError(cause, status=status, param=param, **words)
    return BackendError(cause, retryable=words["code"] not in FINAL_CODES, status=status, **words)


def _stated_status(shape: Mapping[str, Any], status: int) -> int:
    """The status that an error inside an answer of status 200 gives itself, as proxies send it."""
    for name in ("status", "status_code", "code"):
        value = shape.get(name)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if value.__class__ is int and 400 <= value < 600:
            return int(value)
    if shape.get("code") in UNKNOWN_PARAMETER and isinstance(shape.get("param"), str):
        return 400
    return status


def unreadable(error: Exception) -> BackendError:
    """The error of an answer in a shape that nobody thought of; it is logged, to be thought of."""
    log.warning("an answer cannot be read", exc_info=error)
    return BackendError(
        f"the backend's answer cannot be read: {error}", retryable=True, code="stream_malformed"
    )


def _away(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, which is not followed."""
    location = _bounded(headers.get("location", ""))
    return f" and sends to `{location[:MAX_TITLE_CHARACTERS]}`" if location else ""


def retry_after_seconds(header: str) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number or a date."""
    header = header.strip()
    if header.replace(".", "", 1).isdigit() and header.isascii():
        return min(float(header), MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = parsedate_to_datetime(header).timestamp() - time.time()
        return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _plain(status: int, body: bytes, media: str) -> str:
    """The words of a body that is no JSON; of a web page its title."""
    text = body.decode("utf-8", "replace")
    if "html" in media or text[:1] == "<":
        return f"the backend answered with status {status} and {_page(text)}"
    return text


def _page(text: str) -> str:
    """What a web page is called."""
    found = TITLE.search(text)
    title = " ".join(html.unescape(found[1]).split())[:MAX_TITLE_CHARACTERS] if found else ""
    return f"a web page, `{title}`" if title else "a web page"


def _innermost(stated: Any) -> Mapping[str, Any]:
    """The object that has the code and the parameter: the innermost in its wrappers."""
    shape = stated if isinstance(stated, dict) else {}
    for _ in range(MAX_DEPTH):
        inner = next((shape[name] for name in ("error", "detail", "message")
                      if isinstance(shape.get(name), dict)), None)  # fmt: skip
        if not inner:
            break
        shape = inner
    return shape


def _message(stated: Any, depth: int = 0) -> str:
    """The words for people in an error of any shape."""
    if isinstance(stated, str):
        return _bounded(stated)
    if depth > MAX_DEPTH:
        return ""
    if isinstance(stated, list):
        rows = (_message(each, depth + 1) for each in stated)
        return _bounded("; ".join(filter(None, rows)))
    if not isinstance(stated, dict):
        return "" if stated is None else _bounded(str(stated))
    for name in ("message", "detail", "error", "msg", "error_msg", "errors"):
        value = stated.get(name)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return _bounded("; ".join(_detail(row, depth + 1) for row in value))
        if name == "errors" and isinstance(value, dict):
            named = (f"{place}: {_message(words, depth + 1)}" for place, words in value.items())
            return _bounded("; ".join(named))
        if value and (words := _message(value, depth + 1)):
            return words
    return ""


def _detail(row: Any, depth: int) -> str:
    """One row of FastAPI's `detail`."""
    if not isinstance(row, dict):
        return _message(row, depth)
    place = _place(row.get("loc"))
    words = str(row.get("msg") or "") or _message(row, depth)
    return f"{place}: {words}" if place else words


def _place(location: Any) -> str | None:
    if not isinstance(location, Sequence) or isinstance(location, str):
        return None
    return ".".join(str(part) for part in location if part != "body") or None


def _bounded(text: str) -> str:
    text = PAGE.sub(lambda page: _page(page[0]), text)
    text = CONTROLS.sub("\ufffd", text).strip()
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"
