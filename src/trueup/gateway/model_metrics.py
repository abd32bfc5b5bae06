"""What is counted for each served model when one of its requests is over.

The series of a model are looked up once: looking them up for every request costs more than
counting does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from trueup.events import RequestFinished

# vLLM's, so that quantiles can be compared.
FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
BETWEEN_TOKENS_SECONDS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0),
)
REQUEST_SECONDS = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
TOKENS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000),
    *(100_000, 200_000, 500_000, 1_000_000),
)
VLLM_LABELS = ("model_name", "engine")
# vLLM counts by engine; a gateway is one.
ENGINE = "0"
# How an answer that is one ended; what is not among these has no name of vLLM's.
REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})
ENDS = {"failed": "error", "left": "abort"}
UNKNOWN = "unknown"


class OfModels:
    """The families that every model has a series in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, VLLM_LABELS, registry=registry, buckets=buckets)

        self.success = counter(
            "vllm:request_success", "Requests by how they ended.", *VLLM_LABELS, "finished_reason"
        )
        self.prompt_tokens = counter(
            "vllm:prompt_tokens", "Tokens of prompts, as backends count them.", *VLLM_LABELS
        )
        self.generation_tokens = counter(
            "vllm:generation_tokens", "Tokens of answers, counted or estimated.", *VLLM_LABELS
        )
        self.first_token = histogram(
            "vllm:time_to_first_token_seconds",
            "From the request to the first piece sent of a stream.",
            FIRST_TOKEN_SECONDS,
        )
        self.between_tokens = histogram(
            "vllm:inter_token_latency_seconds",
            "Mean time between the tokens of a stream; one value for each stream.",
            BETWEEN_TOKENS_SECONDS,
        )
        self.per_token = histogram(
            "vllm:request_time_per_output_token_seconds",
            "The same under the name that vLLM has for one value for each request.",
            BETWEEN_TOKENS_SECONDS,
        )
        self.whole = histogram(
            "vllm:e2e_request_latency_seconds", "From the request to its end.", REQUEST_SECONDS
        )
        self.request_prompt_tokens = histogram(
            "vllm:request_prompt_tokens", "Tokens of one prompt.", TOKENS
        )
        self.request_generation_tokens = histogram(
            "vllm:request_generation_tokens", "Tokens of one answer.", TOKENS
        )
        self.requests = counter(
            "trueup_requests_total",
            "Requests that went to a backend; `backend` answered last.",
            *("model", "backend", "outcome"),
        )
        self.bars = counter(
            "trueup_forecast_bars_total",
            "Bars of forecasts: `in` were read, `out` were forecast.",
            *("model", "direction"),
        )
        self.errors = counter(
            "trueup_errors_total", "Requests that ended in an error.", "model", "code"
        )


class ModelMetrics:
    """The series of one model."""

    def __init__(self, families: OfModels, model: str) -> None:
        self._families = families
        self._model = model
        self._counters: dict[tuple[Any, ...], Counter] = {}
        self._prompt_tokens = families.prompt_tokens.labels(model, ENGINE)
        self._generation_tokens = families.generation_tokens.labels(model, ENGINE)
        self._first_token = families.first_token.labels(model, ENGINE)
        self._between_tokens = families.between_tokens.labels(model, ENGINE)
        self._per_token = families.per_token.labels(model, ENGINE)
        self._whole = families.whole.labels(model, ENGINE)
        self._request_prompt_tokens = families.request_prompt_tokens.labels(model, ENGINE)
        self._request_generation_tokens = families.request_generation_tokens.labels(model, ENGINE)

    def finish(self, event: RequestFinished, word: Callable[[str, str], str]) -> None:
        """Count a request that is over; `word` bounds how many different codes there are."""
        families, model = self._families, self._model
        self._one(families.success, model, ENGINE, _reason(event))
        self._one(families.requests, model, event.backend or "", event.outcome)
        if event.outcome == "failed":
            self._one(families.errors, model, word("code", event.code or UNKNOWN))
        self._whole.observe(event.seconds)
        if event.prompt_tokens is not None:
            self._prompt_tokens.inc(event.prompt_tokens)
            self._request_prompt_tokens.observe(event.prompt_tokens)
        for direction, bars in (("in", event.bars_in), ("out", event.bars_out)):
            if bars is not None:
                families.bars.labels(model, direction).inc(bars)
        tokens = event.completion_tokens
        if tokens is not None:
            self._generation_tokens.inc(tokens)
            self._request_generation_tokens.observe(tokens)
        first = event.first_token_seconds
        if first is None:
            return
        self._first_token.observe(first)
        if tokens is not None and tokens > 1:
            seconds = (event.seconds - first) / (tokens - 1)
            self._between_tokens.observe(seconds)
            self._per_token.observe(seconds)

    def _one(self, family: Counter, *labels: str) -> None:
        key = (family, *labels)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = family.labels(*labels)
        counter.inc()


def _reason(event: RequestFinished) -> str:
    if event.outcome != "answered":
        return ENDS[event.outcome]
    # Embeddings end without saying why.
    reason = event.finish_reasons[0] if event.finish_reasons else "stop"
    return reason if reason in REASONS else UNKNOWN
