"""GET /api/backends: who can be asked, how it is, what was learned of it; DELETE … forgets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from trueup.backends.base import Accepts, Backend
from trueup.errors import RequestError
from trueup.gateway.exchange import Exchange
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving

PATH = "/api/backends"
PREFIX = "/api/backends/"
LESSONS = "/lessons"


async def list_backends(exchange: Exchange, serving: Serving) -> None:
    """Every model of our own and every backend, in the order of the configuration."""
    lessons = _lessons(serving)
    rows = [await _row(served, serving, lessons) for served in await serving.router.all()]
    await exchange.answer_json({"backends": rows})


async def forget_all(exchange: Exchange, serving: Serving) -> None:
    """Forget every lesson."""
    await exchange.answer_json({"cleared": serving.lessons.clear(None)})


async def forget(exchange: Exchange, serving: Serving) -> None:
    """Forget the lessons of one backend; DELETE /api/backends/{name}/lessons.

    Raises:
        RequestError: there is no such backend, or the path does not end so.
    """
    name = exchange.path.removeprefix(PREFIX).removesuffix(LESSONS)
    served = {each.backend.name for each in await serving.router.all()}
    # One that is served no longer may have left lessons.
    known = served | {lesson.backend for lesson in serving.lessons.all()}
    if not exchange.path.endswith(LESSONS) or name not in known:
        raise RequestError(
            f"there is no backend `{name}`",
            code="backend_not_found",
            status=404,
            where=PATH,
            hint=f"`trueup backends` or `GET {PATH}` lists them",
        )
    await exchange.answer_json({"cleared": serving.lessons.clear(name)})


def _lessons(serving: Serving) -> Mapping[str, list[dict[str, Any]]]:
    """What was learned, by the backend's name."""
    now = time.time()
    found: dict[str, list[dict[str, Any]]] = {}
    for lesson in serving.lessons.all():
        row = {
            "parameter": lesson.parameter,
            "model": lesson.model,
            "version": lesson.version,
            "age_seconds": round(max(0.0, now - lesson.learned_at), 1),
            "expires_in_seconds": round(max(0.0, lesson.expires_at - now), 1),
        }
        found.setdefault(lesson.backend, []).append(row)
    return found


async def _row(
    served: Served, serving: Serving, lessons: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    backend = served.backend
    health = await backend.health()
    return {
        "name": backend.name,
        "kind": served.kind,
        "is_local": served.plan is not None,
        "preset": _text_of(backend, "preset"),
        "url": _shown_url(_text_of(backend, "address")),
        "model": backend.model,
        "runs": getattr(backend, "runs", None),
        "version": health.version or backend.version,
        "state": health.state,
        "last_error": health.last_error,
        "breaker": serving.breakers.state(backend.name),
        **_capabilities(backend),
        "lessons": list(lessons.get(backend.name, ())),
    }


def _capabilities(backend: Backend) -> dict[str, Any]:
    stated = backend.capabilities
    return {
        "limits": asdict(stated.limits),
        "accepts": _accepts(stated.accepts),
        "streams": stated.streams,
        "continuation": stated.continuation,
        "is_exact": stated.is_exact,
        "end_of_answer": stated.end_of_answer,
        "asks_again": stated.asks_again,
        "context_tokens": stated.context_tokens,
    }


def _accepts(accepts: Accepts) -> dict[str, Any]:
    return {
        "unsupported": sorted(accepts.unsupported),
        "ignored": sorted(accepts.ignored),
        "renamed": dict(accepts.renamed),
        "droppable": sorted(accepts.droppable),
    }


def _text_of(backend: Backend, name: str) -> str | None:
    """What backends over HTTP have and others have not."""
    value = getattr(backend, name, None)
    return None if value is None else str(value)


def _shown_url(url: str | None) -> str | None:
    """The URL without a user, a password or a query, which may be keys."""
    if url is None:
        return None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
