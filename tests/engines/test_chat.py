from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from tests.engines.test_sequence import MODELS
from tests.engines.tiny import (
    END,
    byte_level_tokenizer,
    engine,
    glm,
    never,
    qwen2,
    run,
    text_of,
    tokens_of,
    trained,
)
from trueup.engines.chat import TorchChatEngine
from trueup.engines.prompts import DEFAULT_MAX_TOKENS
from trueup.engines.sampling import Sampler
from trueup.engines.sequence import ModelSequence
from trueup.errors import RequestError
from trueup.protocol.chat import parse_chat_request
from trueup.protocol.completion import CompletionRequest, parse_completion_request

TRAINED_END = 1


def completion(**fields: Any) -> CompletionRequest:
    return parse_completion_request({"model": "m", "prompt": "Hello", **fields})


@pytest.mark.parametrize("context_tokens", [None, 99_999_999_999])
def test_the_longest_answer_allowed_is_no_allocation(context_tokens: int | None) -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,), context_tokens=context_tokens)
    steps = run(made, completion(max_tokens=100_000_000_000, temperature=0))
    assert steps[-1].finish_reason == "stop"


def prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 90, (count,), generator=generator).tolist()
    return [torch.randint(2, 500, (each,), generator=generator).tolist() for each in lengths]


def generated(model: Any, ids: list[int], new_tokens: int, **options: Any) -> list[int]:
    """The library's own answer."""
    tensor = torch.tensor([ids])
    output = model.generate(
        tensor,
        attention_mask=torch.ones_like(tensor),
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=END,
        pad_token_id=0,
        **options,
    )
    return output[0, len(ids) :].tolist()


def in_pieces(made: TorchChatEngine, tokens: int) -> TorchChatEngine:
    made._piece_tokens = tokens
    return made


@pytest.mark.parametrize("name", MODELS)
def test_greedy_answers_equal_those_of_generate(name: str) -> None:
    model = MODELS[name]()
    made = in_pieces(engine(model=model), 32)
    answers = []
    for ids in prompts(8):
        request = completion(prompt=ids, temperature=0, max_tokens=40)
        answers.append(tokens_of(run(made, request)))
        assert answers[-1] == generated(model, ids, 40)
    # An answer that repeats one token would prove nothing.
    assert sum(len(set(answer)) for answer in answers) > 8 * 10


def only_the_choice_of(sampler: Sampler, prompt_tokens: int) -> LogitsProcessor:
    """For `generate`, whose own choice is then the only token that is left."""

    class Only(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            answer = input_ids[0, prompt_tokens:].tolist()
            only = torch.full_like(scores, -torch.inf)
            only[0, sampler.choose(scores[0].float(), answer)] = 0
            return only

    return Only()


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 1.0},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.8},
        {"temperature": 0, "presence_penalty": 1.1, "frequency_penalty": 0.6},
        {"temperature": 1.3, "frequency_penalty": 1.7},
    ],
)
@pytest.mark.parametrize("name", ["glm", "qwen2"])
def test_generate_with_the_same_sampler_draws_the_same_answers(
    name: str, sampling: dict[str, Any]
) -> None:
    model = MODELS[name]()
    made = engine(model=model)
    for seed, ids in enumerate(prompts(4)):
        request = completion(prompt=ids, max_tokens=30, seed=seed, **sampling)
        choose = only_the_choice_of(Sampler(request.sampling, seed=seed), len(ids))
        expected = generated(model, ids, 30, logits_processor=LogitsProcessorList([choose]))
        assert tokens_of(run(made, request)) == expected


def test_the_same_seed_repeats_an_answer_and_another_one_does_not() -> None:
    made = engine()
    first, again, other = (run(made, completion(seed=seed, max_tokens=30)) for seed in (1, 1, 2))
    assert first == again
    assert tokens_of(first) != tokens_of(other)


def test_without_a_seed_answers_differ() -> None:
    made = engine()
    assert len({tuple(tokens_of(run(made, completion()))) for _ in range(3)}) == 3


@pytest.mark.parametrize("name", MODELS)
def test_the_first_of_four_choices_is_the_only_choice_and_all_differ(name: str) -> None:
    made = engine(model=MODELS[name](), stop_token_ids=())
    one = run(made, completion(seed=3, max_tokens=25))
    four = run(made, completion(seed=3, max_tokens=25, n=4))
    assert [step for step in four if step.choice == 0] == one
    assert len({tuple(tokens_of(four, choice)) for choice in range(4)}) == 4
    assert [step.choice for step in four if step.finish_reason] == [0, 1, 2, 3]


def test_greedy_choices_are_equal_so_the_shared_prefill_is_not_disturbed() -> None:
    for model in (glm(), qwen2(sliding_window=16)):
        steps = run(engine(model=model), completion(temperature=0, n=3, max_tokens=30))
        assert tokens_of(steps, 0) == tokens_of(steps, 1) == tokens_of(steps, 2)


TEXT_ROWS = [
    ("naïve", {}),
    ("naïve", {"stop": "👍"}),
    ("你好", {"stop": ["天天", "怎么样？我"]}),
    ("The quick", {"stop": ["lazy cat", "the re", "dog. Hello"]}),
]
DRAW_ROWS = [{"temperature": 0}, {"temperature": 1.0, "seed": 4}, {"temperature": 1.6, "seed": 3}]


@pytest.mark.parametrize("draw", DRAW_ROWS)
@pytest.mark.parametrize(("prompt", "stop"), TEXT_ROWS)
def test_an_answer_resumed_at_any_token_equals_the_undisturbed_one(
    prompt: str, stop: dict[str, Any], draw: dict[str, Any]
) -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    request = completion(prompt=prompt, max_tokens=24, frequency_penalty=0.1, **stop, **draw)
    steps = run(made, request)
    assert len(steps) > 5
    for cut in range(1, len(steps)):
        delivered = tuple(tokens_of(steps[:cut]))
        rest = run(made, replace(request, resume={0: delivered}))
        assert rest == steps[cut:], cut


def test_resumed_random_answers_equal_the_undisturbed_ones_token_for_token() -> None:
    for model in (glm(), qwen2(sliding_window=16)):
        made = in_pieces(engine(model=model, stop_token_ids=()), 16)
        request = completion(prompt=prompts(1)[0], max_tokens=40, temperature=1, seed=8)
        steps = run(made, request)
        for cut in range(1, 40, 7):
            delivered = tuple(tokens_of(steps[:cut]))
            assert run(made, replace(request, resume={0: delivered})) == steps[cut:]


@pytest.mark.parametrize("name", MODELS)
def test_choices_are_resumed_each_after_its_own_tokens_and_no_others_are_made(name: str) -> None:
    made = in_pieces(engine(model=MODELS[name](), stop_token_ids=()), 16)
    request = completion(prompt=prompts(2), n=2, max_tokens=20, temperature=1, seed=8)
    steps = run(made, request)
    answers = [tokens_of(steps, choice) for choice in range(4)]
    resume = {0: tuple(answers[0][:13]), 2: (), 3: tuple(answers[3])}
    before = replace(made.work)
    rest = run(made, replace(request, resume=resume))
    assert [step for step in rest if step.choice == 0] == steps[13:20]
    assert [step for step in rest if step.choice == 2] == steps[40:60]
    assert [(step.position, step.finish_reason) for step in rest if step.choice == 3] == [
        (20, "length")
    ]
    assert {step.choice for step in rest} == {0, 2, 3}
    # What the client has is read, not made again; the prompts are read once each.
    assert made.work.decoded_tokens - before.decoded_tokens == 7 + 20
    read = sum(len(each.token_ids) for each in made.prepare(request)) + 13
    assert made.work.prefilled_tokens - before.prefilled_tokens == read


def test_a_prompt_without_choices_to_be_made_costs_nothing() -> None:
    made = engine(stop_token_ids=())
    request = completion(prompt=prompts(2), max_tokens=5, seed=8)
    first, _ = made.prepare(request)
    assert not list(made.generate(first, replace(request, resume={1: ()}), never))
    assert (made.work.prefilled_tokens, made.work.decoded_tokens) == (0, 0)


@pytest.mark.parametrize("fields", [{}, {"stop": "jumps"}, {"max_tokens": 7}])
def test_an_answer_that_was_delivered_whole_only_gets_its_finish(fields: dict[str, Any]) -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    request = completion(prompt="The quick", **{"temperature": 0, "max_tokens": 60, **fields})
    steps = run(made, request)
    delivered = tuple(tokens_of(steps))
    (last,) = run(made, replace(request, resume={0: delivered}))
    assert (last.text, last.token_ids, last.position) == ("", (), len(delivered))
    assert last.finish_reason == steps[-1].finish_reason


@pytest.mark.parametrize("prompt", ["The quick", "你好", "naïve"])
def test_streamed_text_equals_the_decoded_answer(prompt: str) -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    for fields in ({"temperature": 0}, {"temperature": 0.7, "seed": 4}):
        steps = run(made, completion(prompt=prompt, max_tokens=80, **fields))
        assert steps[-1].finish_reason == "stop"
        assert text_of(steps) == byte_level_tokenizer().decode(
            tokens_of(steps), skip_special_tokens=True
        )
        assert not any("\ufffd" in step.text for step in steps)
        assert len(text_of(steps)) > 20


def test_a_stop_string_is_never_part_of_any_delta() -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    whole = text_of(run(made, completion(prompt="The quick", temperature=0, max_tokens=60)))
    for start in range(0, len(whole) - 6, 3):
        stop = whole[start : start + 6]
        steps = run(
            made, completion(prompt="The quick", temperature=0, max_tokens=60, stop=[stop, "zzz"])
        )
        assert text_of(steps) == whole[: whole.index(stop)]
        assert steps[-1].finish_reason == "stop"


def test_an_answer_cut_by_the_limit_gives_out_all_that_was_held_back() -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    fields = {"prompt": "你好", "temperature": 0}
    tokens = tokens_of(run(made, completion(**fields, max_tokens=20)))
    for limit in range(1, 20):
        text = byte_level_tokenizer().decode(tokens[:limit])
        steps = run(made, completion(**fields, max_tokens=limit, stop=text[-1] + "@"))
        assert text_of(steps) == text
        assert steps[-1].finish_reason == "length"


def test_stop_tokens_end_the_answer_and_are_no_text_even_where_they_are_not_special() -> None:
    tokenizer = byte_level_tokenizer()
    dog = tokens_of(
        run(
            engine(model=trained(), stop_token_ids=(TRAINED_END,)),
            completion(prompt="The quick", temperature=0, max_tokens=60),
        )
    )
    stop = dog[6]
    made = engine(model=trained(), stop_token_ids=(stop,))
    steps = run(made, completion(prompt="The quick", temperature=0, max_tokens=60))
    assert tokens_of(steps) == dog[:7]
    assert text_of(steps) == tokenizer.decode(dog[:6])
    assert steps[-1].finish_reason == "stop"


def test_positions_count_the_answer_and_the_limit_ends_it() -> None:
    steps = run(engine(stop_token_ids=()), completion(max_tokens=9, n=2, seed=1))
    assert [step.position for step in steps] == [*range(9), *range(9)]
    assert [step.finish_reason for step in steps[:9]] == [None] * 8 + ["length"]


def test_several_prompts_number_their_choices_on_and_answer_as_if_alone() -> None:
    made = engine(stop_token_ids=())
    together = run(made, completion(prompt=["Hello", "你好"], n=2, seed=6, max_tokens=12))
    alone = run(made, completion(prompt="你好", n=2, seed=6, max_tokens=12))
    assert sorted({step.choice for step in together}) == [0, 1, 2, 3]
    for choice in (0, 1):
        assert tokens_of(together, choice + 2) == tokens_of(alone, choice)


def test_a_chat_is_rendered_and_answered() -> None:
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "The quick"},
        ],
        "continue_final_message": True,
        "temperature": 0,
        "max_tokens": 50,
    }
    request = parse_chat_request(body)
    (prompt,) = made.prepare(request)
    text = byte_level_tokenizer().decode(prompt.token_ids)
    assert text == "user: Hi\nassistant: The quick"
    same = completion(prompt=list(prompt.token_ids), temperature=0, max_tokens=50)
    assert run(made, request) == run(made, same)


def test_white_space_that_is_chat_format_is_no_part_of_a_chat_answer() -> None:
    plain = engine(model=trained(), stop_token_ids=(TRAINED_END,))
    made = engine(model=trained(), stop_token_ids=(TRAINED_END,), answers_after_space=True)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 12}
    seeds = range(40)
    chats = [parse_chat_request({**body, "seed": seed, "temperature": 1.5}) for seed in seeds]
    answers = [text_of(run(plain, chat)) for chat in chats]
    assert any(answer != answer.lstrip() for answer in answers)
    assert [text_of(run(made, chat)) for chat in chats] == [each.lstrip() for each in answers]
    completed = completion(prompt="The quick", temperature=0)
    assert text_of(run(made, completed)).startswith(" brown")


class Calls:
    """Says yes from the given question on."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.limit


def test_cancelling_ends_the_answer_without_a_finish() -> None:
    made = in_pieces(engine(stop_token_ids=()), 8)
    request = completion(prompt=list(range(2, 42)), n=2, max_tokens=10, seed=1)
    whole = run(made, request)
    for limit in range(5 + 2):
        assert len(run(made, request, Calls(limit))) <= 1
    for limit in range(7, 24):
        steps = run(made, request, Calls(limit))
        assert steps == whole[: len(steps)]
        assert len(steps) < len(whole)
    # Once before each of 5 pieces of the prompt, each choice and each token but the first.
    counter = Calls(1000)
    assert run(made, request, counter) == whole
    assert counter.asked == 5 + 2 + 2 * 9


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers() -> None:
    made = engine(context_tokens=64)
    for count in (64, 100):
        with pytest.raises(RequestError) as caught:
            made.prepare(completion(prompt=[5] * count))
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.param == "prompt"
        assert str(count) in caught.value.cause
        assert "64" in caught.value.cause


def test_the_context_bounds_the_answer() -> None:
    made = engine(context_tokens=64, stop_token_ids=())
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    (prompt,) = made.prepare(parse_chat_request(chat))
    assert prompt.max_tokens == 64 - len(prompt.token_ids)
    steps = run(made, completion(prompt=[5] * 60, max_tokens=1000))
    assert len(tokens_of(steps)) == 4
    assert steps[-1].finish_reason == "length"


def test_a_model_without_a_known_context_has_a_default_limit() -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    (prompt,) = engine(context_tokens=None).prepare(parse_chat_request(chat))
    assert prompt.max_tokens == DEFAULT_MAX_TOKENS


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [5, 512]}, "prompt[0]"),
        ({"prompt": [[5], [5, 99999]]}, "prompt[1]"),
        ({"prompt": ""}, "prompt"),
        ({"trueup": {"continue_token_ids": [512]}}, "trueup.continue_token_ids"),
        ({"n": 2, "trueup": {"continue_token_ids": {"1": [512]}}}, "trueup.continue_token_ids"),
    ],
)
def test_prompts_that_the_model_cannot_read_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        engine().prepare(completion(**fields))
    assert caught.value.param == param


def test_an_answer_in_bf16_repeats_and_its_choices_are_drawn_in_fp32() -> None:
    made = engine(model=copy.deepcopy(glm()).to(torch.bfloat16), stop_token_ids=())
    request = completion(seed=2, max_tokens=20)
    assert run(made, request) == run(made, request)
    (prompt,) = made.prepare(request)
    sequence = ModelSequence(made._model, options=made._options)
    logits = made._prefill(sequence, prompt.token_ids, never)
    assert logits is not None
    assert logits.dtype == torch.float32
