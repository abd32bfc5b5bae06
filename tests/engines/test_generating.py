from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.engines.tiny import TinyLoaded, engine, glm, never, qwen2, run, text_of, tokens_of
from trueup.engines.base import Step
from trueup.engines.generating import GeneratingEngine
from trueup.errors import BackendError
from trueup.protocol.completion import CompletionRequest, parse_completion_request


def generating(**parts: Any) -> GeneratingEngine:
    return GeneratingEngine(TinyLoaded(**parts))  # type: ignore[arg-type]


def completion(**fields: Any) -> CompletionRequest:
    return parse_completion_request({"model": "m", "prompt": "Hello there, how", **fields})


REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0, "max_tokens": 30},
    "sampled": {"temperature": 0.8, "top_k": 20, "top_p": 0.8, "seed": 3, "max_tokens": 30},
    "penalised": {"temperature": 0, "frequency_penalty": 1.7, "max_tokens": 30},
    "four choices": {"temperature": 1, "seed": 4, "n": 4, "max_tokens": 20},
    "two prompts": {"prompt": ["Hello", "naïve café"], "temperature": 0, "max_tokens": 20},
    "stop string": {"temperature": 0, "max_tokens": 60, "stop": ["o"]},
    "one token": {"temperature": 0, "max_tokens": 1},
    "resumed": {
        "temperature": 1,
        "seed": 5,
        "max_tokens": 20,
        "trueup": {"continue_token_ids": [17, 300, 41]},
    },
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answers_are_those_of_the_other_engine_step_by_step(name: str) -> None:
    request = completion(**REQUESTS[name])
    steps = run(generating(), request)
    assert steps == run(engine(), request)
    assert len({token for step in steps for token in step.token_ids}) > (name != "one token")


def test_a_stop_token_ends_the_answer_and_has_no_text() -> None:
    free = run(generating(stop_token_ids=()), completion(**REQUESTS["greedy"]))
    tokens = tokens_of(free)
    stop = tokens[7]
    steps = run(generating(stop_token_ids=(stop,)), completion(**REQUESTS["greedy"]))
    assert tokens_of(steps) == tokens[: tokens.index(stop) + 1]
    assert steps[-1].finish_reason == "stop"
    assert text_of(free).startswith(text_of(steps))


def test_an_answer_may_fill_the_context_to_its_last_token() -> None:
    made = generating(context_tokens=20, stop_token_ids=())
    (prompt,) = made.prepare(completion(temperature=0))
    steps = list(made.generate(prompt, completion(temperature=0), never))
    assert len(prompt.token_ids) + len(tokens_of(steps)) == 20
    assert steps[-1].finish_reason == "length"


def test_a_cancelled_answer_ends_at_its_next_token_and_the_next_one_is_whole() -> None:
    made = generating(stop_token_ids=())
    request = completion(**REQUESTS["greedy"])
    whole = run(made, request)
    (prompt,) = made.prepare(request)
    seen: list[Step] = []
    for step in made.generate(prompt, request, lambda: len(seen) >= 3):
        seen.append(step)
    # The thread that generates may be one token ahead of whoever reads.
    assert seen == whole[: len(seen)]
    assert 3 <= len(seen) < len(whole)
    assert run(made, request) == whole


def test_a_long_prompt_is_left_between_two_layers() -> None:
    model = glm.__wrapped__(2)
    made = generating(model=model)
    reached: list[int] = []
    first, second = model.model.layers
    first.register_forward_hook(lambda *_: reached.append(1))
    second.register_forward_hook(lambda *_: reached.append(2))
    (prompt,) = made.prepare(completion(temperature=0))
    assert list(made.generate(prompt, completion(temperature=0), lambda: bool(reached))) == []
    assert reached == [1]


def test_whoever_stops_reading_leaves_nothing_running() -> None:
    made = generating(stop_token_ids=())
    request = completion(**REQUESTS["greedy"])
    (prompt,) = made.prepare(request)
    steps = made.generate(prompt, request, never)
    next(steps)
    steps.close()
    decoded = made.work.decoded_tokens
    assert run(made, request) == run(engine(stop_token_ids=()), request)
    assert made.work.decoded_tokens == decoded + 30


def test_logits_that_are_no_numbers_are_an_error_and_the_engine_goes_on() -> None:
    model = qwen2.__wrapped__(1)
    made = generating(model=model)
    good = model.lm_head.weight.data
    model.lm_head.weight.data = torch.full_like(good, torch.nan)
    with pytest.raises(BackendError, match="best logit at position 0"):
        run(made, completion(temperature=0))
    model.lm_head.weight.data = good
    assert run(made, completion(temperature=0, max_tokens=5))


def test_the_models_own_settings_for_generating_are_left_as_they_were() -> None:
    model = glm.__wrapped__(3)
    model.generation_config.repetition_penalty = 50.0
    model.generation_config.eos_token_id = list(range(400))
    before = model.generation_config.to_dict()
    request = completion(**REQUESTS["greedy"])
    steps = run(generating(model=model), request)
    assert steps == run(engine(model=model), request)
    assert model.generation_config.to_dict() == before


def test_code_that_cannot_generate_is_no_engine() -> None:
    model = glm.__wrapped__(4)
    forward = model.forward

    def fails_from_the_cache_on(*values: Any, **options: Any) -> Any:
        if options["input_ids"].shape[1] == 1 and options["past_key_values"].get_seq_length():
            raise TypeError("'DynamicCache' object is not subscriptable")
        return forward(*values, **options)

    model.forward = fails_from_the_cache_on
    with pytest.raises(TypeError, match="not subscriptable"):
        generating(model=model)
    model.forward = forward
    assert generating(model=model).work.decoded_tokens == 0
