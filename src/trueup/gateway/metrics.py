"""Prometheus' metrics of one gateway, counted from its events and nothing else.

Names and labels are vLLM's where it has them, so that its boards show this server too. Imports
prometheus_client: only who serves imports this module.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

from trueup import __version__
from trueup.events import (
    BreakerChanged,
    ContinuationStarted,
    Event,
    FallbackTaken,
    FirstTokenSent,
    MemoryMeasured,
    ModelStateChanged,
    ParameterDropped,
    RequestFinished,
    RequestRefused,
    RequestStarted,
    RetryStarted,
)
from trueup.gateway.model_metrics import ENGINE, VLLM_LABELS, ModelMetrics, OfModels

# Of words that others choose: codes of servers, parameters of clients.
MAX_WORDS = 64
MAX_WORD = 64
OTHER = "other"
OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """What was counted so far; `note` takes every event, `render` answers a scrape."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._models: dict[str, ModelMetrics] = {}
        # By request id; two requests may have been given the same one.
        self._open: dict[str, list[RequestStarted]] = {}
        self._answering: set[str] = set()
        self._words: dict[str, set[str]] = {}
        self._define()
        self._notes: dict[type[Event], Callable[[Any], None]] = {
            RequestStarted: self._note_started,
            FirstTokenSent: self._note_first_token,
            RequestFinished: self._note_finished,
            RequestRefused: self._note_refused,
            RetryStarted: self._note_retry,
            FallbackTaken: self._note_fallback,
            ContinuationStarted: self._note_continuation,
            ParameterDropped: self._note_dropped,
            BreakerChanged: self._note_breaker,
            ModelStateChanged: self._note_state,
            MemoryMeasured: self._note_memory,
        }

    def note(self, event: Event) -> None:
        """Count an event."""
        note = self._notes.get(type(event))
        if note is not None:
            note(event)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body of a scrape, and its content type, in the form that `accept` prefers."""
        registry = _WithoutCreated(self.registry)
        if choose_encoder(accept)[1].startswith(OPENMETRICS):
            # Every other way of escaping renames the samples of `vllm:…`, and not their TYPE.
            encode: Callable[..., bytes] = openmetrics.generate_latest
            body = encode(registry, escaping=openmetrics.ALLOWUTF8)
            return body, openmetrics.CONTENT_TYPE_LATEST
        encode, content_type = choose_encoder("")
        return encode(registry), content_type

    def collect(self) -> Iterator[Metric]:
        """What is known only while it lasts: the requests under way."""
        running = GaugeMetricFamily(
            "vllm:num_requests_running", "Requests being answered.", labels=VLLM_LABELS
        )
        waiting = GaugeMetricFamily(
            "vllm:num_requests_waiting",
            "Streamed requests of which nothing was sent yet.",
            labels=VLLM_LABELS,
        )
        streams = GaugeMetricFamily("trueup_streams_open", "Streams under way.", labels=("model",))
        oldest = GaugeMetricFamily(
            "trueup_stream_oldest_age_seconds",
            "Seconds since the oldest stream under way began; 0 without one.",
            labels=("model",),
        )
        now = self._clock()
        here: dict[str, list[RequestStarted]] = {model: [] for model in self._models}
        for each in itertools.chain.from_iterable(self._open.values()):
            here[each.model].append(each)
        for model, begun in here.items():
            of_streams = [each for each in begun if each.is_stream]
            silent = sum(each.request_id not in self._answering for each in of_streams)
            running.add_metric((model, ENGINE), len(begun) - silent)
            waiting.add_metric((model, ENGINE), silent)
            streams.add_metric((model,), len(of_streams))
            ages = (now - each.at_seconds for each in of_streams)
            oldest.add_metric((model,), max(ages, default=0.0))
        yield from (running, waiting, streams, oldest)

    def _define(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"trueup_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"trueup_{name}", text, labels, registry=self.registry)

        registry = self.registry
        registry.register(self)
        ProcessCollector(registry=registry)
        gauge("build_info", "The version.", "version").labels(__version__).set(1)
        self._of_models = OfModels(registry)
        self._refusals = counter(
            "refusals_total", "Requests refused before a backend was asked.", "code"
        )
        self._retries = counter(
            "retries_total", "A backend was asked again after `code`.", "backend", "code"
        )
        self._fallbacks = counter(
            "fallbacks_total", "The next of a chain was asked.", "before", "after", "code"
        )
        self._continuations = counter(
            "continuations_total", "Answers that broke off and went on.", "backend", "how"
        )
        self._dropped = counter(
            "parameters_dropped_total",
            "Parameters left out or translated.",
            "backend",
            "parameter",
        )
        self._breakers = gauge(
            "breaker_state", "1 for the state that the breaker is in.", "backend", "state"
        )
        self._states = gauge("model_state", "1 for the state of the model.", "model", "state")
        self._memory = gauge("model_memory_bytes", "A worker's memory.", "model")

    def _note_started(self, event: RequestStarted) -> None:
        if event.model not in self._models:
            self._models[event.model] = ModelMetrics(self._of_models, event.model)
        self._open.setdefault(event.request_id, []).append(event)

    def _note_first_token(self, event: FirstTokenSent) -> None:
        if event.request_id in self._open:
            self._answering.add(event.request_id)

    def _note_finished(self, event: RequestFinished) -> None:
        begun = self._open.get(event.request_id)
        model = self._models.get(event.model)
        if not begun or model is None:
            return  # it began before anybody counted
        begun.pop()
        if not begun:
            del self._open[event.request_id]
            self._answering.discard(event.request_id)
        model.finish(event, self._word)

    def _note_refused(self, event: RequestRefused) -> None:
        self._refusals.labels(self._word("code", event.code)).inc()

    def _note_retry(self, event: RetryStarted) -> None:
        self._retries.labels(event.backend, self._word("code", event.code)).inc()

    def _note_fallback(self, event: FallbackTaken) -> None:
        code = self._word("code", event.code)
        self._fallbacks.labels(event.before, event.after, code).inc()

    def _note_continuation(self, event: ContinuationStarted) -> None:
        self._continuations.labels(event.backend, event.how).inc()

    def _note_dropped(self, event: ParameterDropped) -> None:
        self._dropped.labels(event.backend, self._word("parameter", event.parameter)).inc()

    def _note_breaker(self, event: BreakerChanged) -> None:
        for state in ("closed", "open", "half-open"):
            self._breakers.labels(event.backend, state).set(state == event.state)

    def _note_state(self, event: ModelStateChanged) -> None:
        for state in ("stopped", "starting", "ready", "stopping", "failed"):
            self._states.labels(event.model_id, state).set(state == event.after)
        if event.after == "stopped":
            self._memory.labels(event.model_id).set(0)

    def _note_memory(self, event: MemoryMeasured) -> None:
        self._memory.labels(event.model_id).set(event.memory_bytes)

    def _word(self, kind: str, word: str) -> str:
        """A word as a label; from some number on new ones are all the same."""
        seen = self._words.setdefault(kind, set())
        if word in seen:
            return word
        if len(seen) >= MAX_WORDS or len(word) > MAX_WORD:
            return OTHER
        seen.add(word)
        return word


class _WithoutCreated:
    """A registry without the times at which series began, which double what is sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric
