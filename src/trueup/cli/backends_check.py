"""`trueup backends check`: the order of the questions, and what is made of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from trueup.backends.look import version
from trueup.backends.probe import (
    PATHS,
    Known,
    Question,
    Reply,
    Seen,
    choices_of,
    error_text,
    judged,
    one_line,
    said,
    trouble_of,
)
from trueup.backends.probe_answers import tokens_kept
from trueup.backends.probe_errors import WRONG_REQUESTS, error_seen
from trueup.backends.probe_profile import (
    DEFAULT_PRESET,
    Profile,
    make_of,
    make_of_version,
    version_rows,
)
from trueup.backends.probe_questions import (
    MAX_TOKENS,
    QUESTIONS,
    UNKNOWN_PARAMETER,
    asked,
    embedding_asked,
)
from trueup.backends.probe_stream import stream_facts, stream_rows
from trueup.cli.backends_prober import Prober
from trueup.cli.backends_target import Target

REFUSED_KEY = (401, 403)


async def checked(
    target: Target, prober: Prober, tell: Callable[[str], None] = lambda text: None
) -> Profile:
    """Ask everything; `tell` hears what is being asked. A question without an answer is a row."""
    began = time.monotonic()
    profile = Profile(
        name=target.name,
        url=target.url,
        preset=target.preset or DEFAULT_PRESET,
        key_variable=target.key_variable,
    )
    await _Check(target, prober, profile, tell).run()
    profile.requests = prober.requests
    profile.seconds = time.monotonic() - began
    return profile


class _Check:
    def __init__(
        self, target: Target, prober: Prober, profile: Profile, tell: Callable[[str], None]
    ) -> None:
        self._target = target
        self._prober = prober
        self._profile = profile
        self._tell = tell

    async def run(self) -> None:
        profile, target = self._profile, self._target
        if not await self._find_models():
            return
        await self._find_version()
        profile.model = target.model or (profile.models[0] if profile.models else None)
        if profile.model is None:
            self._add("server", "model", Seen(verdict="not asked", text="none is named: --model"))
            return
        known = await self._find_kind(profile.model)
        if known is None:
            return
        if profile.kind != "embedding":
            for question in QUESTIONS:
                if known.kind in question.kinds:
                    await self._ask_question(question, known)
        await self._ask_wrongly(known)

    async def _find_models(self) -> bool:
        """Whether it can be reached and takes the key; its models where it lists them."""
        self._tell("models")
        profile, url = self._profile, f"{self._target.url}/models"
        reply = await self._prober.get(url)
        profile.connect_seconds = reply.connect_seconds
        if reply.status is None and reply.connect_seconds is None:
            self._add("server", "reachable", Seen(verdict="fails", text=reply.fault or "no answer"))
            return False
        profile.is_reachable = True
        if not await self._check_key(reply, url):
            return False
        rows = reply.shape.get("data") if isinstance(reply.shape, dict) else None
        if reply.status != 200 or not isinstance(rows, list):
            seen = trouble_of(reply) or Seen(verdict="unclear", text="the answer is no list")
            self._add("server", "models", seen)
            rows = []
        ids = [row.get("id") for row in rows if isinstance(row, dict)]
        profile.models = tuple(one_line(name) for name in ids if isinstance(name, str) and name)
        profile.server = reply.headers.get("server")
        if self._target.preset is None and (make := make_of(rows, reply.headers)):
            profile.preset, profile.is_preset_guessed = make, True
        return True

    def _note_refused_key(self, reply: Reply) -> None:
        profile = self._profile
        profile.is_key_taken = False
        is_sent = self._target.api_key is not None
        profile.key = "refused" if is_sent else "none was sent, one is needed"
        text = f"status {reply.status}: {error_text(reply)}"
        self._add("server", "key", Seen(verdict="rejected", text=text))

    async def _check_key(self, reply: Reply, url: str) -> bool:
        profile = self._profile
        has_key = self._target.api_key is not None
        if reply.status in REFUSED_KEY:
            self._note_refused_key(reply)
            return False
        if reply.status == 200:
            profile.is_key_taken = True
        if has_key:
            without = await self._prober.get(url, sends_key=False)
            is_needed = without.status in REFUSED_KEY
            profile.key = "taken, and needed" if is_needed else "taken, and not needed"
        return True

    async def _find_version(self) -> None:
        self._tell("version")
        profile = self._profile
        root = self._target.url.removesuffix("/v1")
        for path, key in version_rows(profile.preset):
            reply = await self._prober.get(f"{root}{path}")
            if reply.status == 200 and (found := version(reply.body, key)):
                profile.version = found
                if profile.preset == DEFAULT_PRESET and self._target.preset is None:
                    profile.preset = make_of_version(path) or DEFAULT_PRESET
                    profile.is_preset_guessed = profile.preset != DEFAULT_PRESET
                return
            if reply.status is None:
                return

    async def _find_kind(self, model: str) -> Known | None:
        """What the model answers, and its greedy answer, whole and as a stream."""
        first: Seen | None = None
        for kind in PATHS:
            known = Known(model=model, kind=kind)
            seen = await self._embed(known) if kind == "embedding" else await self._greet(known)
            first = first or seen
            if self._profile.is_key_taken is False:
                return None
            if seen.verdict == "honoured":
                self._profile.kind = kind
                self._add("server", "answers", Seen(verdict="honoured", text=seen.text))
                return known
            if seen.verdict == "unclear":  # as a stream alone, or whole alone
                self._profile.kind = kind
                self._add("server", "whole answers", seen)
                return known
        self._add("server", "answers", first or Seen(verdict="fails", text="nothing"))
        return None

    async def _embed(self, known: Known) -> Seen:
        self._tell("embeddings")
        reply = await self._post(PATHS["embedding"], embedding_asked(known))
        if (trouble := trouble_of(reply)) is not None:
            return trouble
        rows = reply.shape.get("data") if isinstance(reply.shape, dict) else None
        row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        vector = row.get("embedding")
        if not isinstance(vector, list):
            return Seen(verdict="fails", text="status 200 without an embedding")
        self._profile.answer_seconds = reply.seconds
        return Seen(verdict="honoured", text=f"embeddings of {len(vector)} dimensions")

    async def _greet(self, known: Known) -> Seen:
        """The plain answer; `unclear` where only the stream gives one."""
        self._tell(f"{known.kind}, whole")
        reply = await self._post(PATHS[known.kind], asked(known))
        trouble = trouble_of(reply)
        if reply.status == 401:  # the list of models may be open to all
            self._note_refused_key(reply)
            return trouble or Seen(verdict="fails", text="no answer")
        if trouble and trouble.verdict == "rejected" and "max_completion_tokens" in trouble.text:
            known.token_key = "max_completion_tokens"
            self._add("parameters", "max_tokens", trouble)
            reply = await self._post(PATHS[known.kind], asked(known))
            trouble = trouble_of(reply)
        if trouble is None and not choices_of(reply):
            trouble = Seen(verdict="fails", text="status 200 without choices")
        if trouble is not None and trouble.verdict == "rejected":
            return trouble
        if trouble is None:
            known.text = said(reply)
            self._add("parameters", known.token_key, tokens_kept(reply, MAX_TOKENS))
            self._profile.answer_seconds = reply.seconds
        is_streamed = await self._stream(known, is_certain=trouble is None)
        known.is_cut = known.is_cut or trouble is not None
        if trouble is None:
            return Seen(verdict="honoured", text=f"{known.kind}: `{one_line(known.text)}`")
        if is_streamed:
            return Seen(verdict="unclear", text=f"{trouble.text}; as a stream it answers")
        return trouble

    async def _stream(self, known: Known, *, is_certain: bool) -> bool:
        """The rows of a plain stream; nothing is noted where none came and none was certain."""
        self._tell(f"{known.kind}, as a stream")
        reply = await self._post(PATHS[known.kind], asked(known, stream=True))
        facts = stream_facts(reply)
        trouble = trouble_of(reply)
        if not facts.chunks and not is_certain:
            return False
        self._profile.stream = facts
        known.deltas, known.is_cut = facts.deltas, trouble is not None
        if trouble is not None and not facts.chunks:
            self._add("stream", "form", trouble)
            return False
        for name, seen in stream_rows(facts).items():
            self._add("stream", name, seen)
        if trouble is not None and reply.fault is None:  # an error event
            self._add("stream", "events", trouble)
        return True

    async def _ask_question(self, question: Question, known: Known) -> None:
        seen = self._not_asked(question)
        bodies = None if seen else question.bodies(known)
        if seen is None and bodies is None:
            why = "no whole answer came" if known.is_cut else "the answer is too short or repeats"
            seen = Seen(verdict="not asked", text=why)
        if seen is None:
            self._tell(question.name)
            replies = []
            for body in bodies or ():
                replies.append(
                    await self._post(PATHS[known.kind], body, leave_after=question.leave_after)
                )
                if trouble_of(replies[-1]) is not None:
                    break
            seen = judged(question, replies, known)
        self._add(question.group, question.name, seen)

    def _not_asked(self, question: Question) -> Seen | None:
        if self._prober.is_over:
            return Seen(verdict="not asked", text="the time was up")
        if question.group == "tools" and question.name != "tools":
            first = next((seen for _, name, seen in self._profile.rows if name == "tools"), None)
            if first is not None and first.verdict in ("rejected", "fails", "no answer"):
                return Seen(verdict="not asked", text="tools give no answer")
        if question.name == UNKNOWN_PARAMETER and self._profile.preset == "trueup":
            return Seen(verdict="not asked", text="it would learn that a backend does not take it")
        return None

    async def _ask_wrongly(self, known: Known) -> None:
        for wrong in WRONG_REQUESTS:
            if known.kind not in wrong.kinds:
                continue
            if self._prober.is_over:
                seen = Seen(verdict="not asked", text="the time was up")
            else:
                self._tell(wrong.name)
                path = f"{self._target.url}{PATHS[known.kind]}"
                seen = error_seen(await self._prober.post(path, wrong.body(known)))
            self._add("errors", wrong.name, seen)

    async def _post(self, path: str, body: Any, *, leave_after: int | None = None) -> Reply:
        url = f"{self._target.url}{path}"
        return await self._prober.post(url, orjson.dumps(body), leave_after=leave_after)

    def _add(self, group: str, name: str, seen: Seen) -> None:
        self._profile.rows.append((group, name, seen))
