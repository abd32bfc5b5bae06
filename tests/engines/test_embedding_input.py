from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints.encoders import CORPUS, Sentence, build_encoder
from tests.engines.encoders import embed, load_engine, reference, token_ids_of, unit
from trueup.adapt.plan import EmbeddingPlan
from trueup.engines.embedding import EmbeddingEngine
from trueup.engines.embedding_input import MAX_WINDOWS, InputReader, Rows
from trueup.errors import RequestError
from trueup.protocol.embedding import EmbeddingRequest, Input

CONTEXT = 32
SPECIAL = 2
ROOM = CONTEXT - SPECIAL
LONG = "\n".join(CORPUS) * 3


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Sentence(max_seq_length=CONTEXT)
    return build_encoder("roberta", tmp_path_factory.mktemp("roberta"), sentence=settings)


@pytest.fixture(scope="module")
def engine(directory: Path) -> EmbeddingEngine:
    return load_engine(directory)


def read(engine: EmbeddingEngine, *inputs: Input, **fields: Any) -> Rows:
    return engine.prepare(EmbeddingRequest(model="m", inputs=inputs, **fields))


def whole(bare: list[int]) -> tuple[int, ...]:
    return (0, *bare, 2)


@pytest.mark.parametrize("family", ["roberta", "bert", "qwen2"])
def test_rows_are_what_the_tokenizer_gives_special_tokens_included(
    family: str, tmp_path: Path
) -> None:
    made = build_encoder(family, tmp_path / family)
    texts = ("x", *CORPUS, "  两个  空格\r\n", "<s> literal </s>")
    rows = read(load_engine(made), *texts)
    assert [list(row) for row in rows.token_ids] == [token_ids_of(made, text) for text in texts]
    assert rows.starts == tuple(range(len(texts) + 1))
    assert rows.prompt_tokens == sum(map(len, rows.token_ids))


@pytest.mark.parametrize(("count", "place"), [(1, "input"), (3, "input[2]")])
def test_a_long_input_is_an_error_that_names_it_and_both_ways_out(
    count: int, place: str, engine: EmbeddingEngine, directory: Path
) -> None:
    with pytest.raises(RequestError) as caught:
        read(engine, *["short"] * (count - 1), LONG)
    error = caught.value
    tokens = len(token_ids_of(directory, LONG))
    assert f"`{place}` has {tokens} tokens, but the model's context holds {CONTEXT}" in error.cause
    assert (error.param, error.code, error.status) == (place, "context_length_exceeded", 400)
    assert '`"truncate": "end"`' in (error.hint or "")
    assert '`"windows": true`' in (error.hint or "")


def test_an_input_that_fills_the_context_is_whole_and_one_token_more_is_too_long(
    engine: EmbeddingEngine, directory: Path
) -> None:
    bare = token_ids_of(directory, LONG, is_bare=True)
    rows = read(engine, tuple(bare[:ROOM]), truncate="end")
    assert (rows.token_ids, rows.truncated) == ((whole(bare[:ROOM]),), ())
    with pytest.raises(RequestError, match=f"has {CONTEXT + 1} tokens"):
        read(engine, tuple(bare[: ROOM + 1]))


@pytest.mark.parametrize("truncate", ["start", "end"])
def test_truncation_gives_the_vector_of_the_tokens_that_are_left(
    truncate: Any, engine: EmbeddingEngine, directory: Path
) -> None:
    bare = token_ids_of(directory, LONG, is_bare=True)
    left = bare[:ROOM] if truncate == "end" else bare[-ROOM:]
    rows = read(engine, "short", LONG, truncate=truncate)
    assert rows.token_ids[1] == whole(left)
    assert (rows.truncated, rows.windowed) == ((1,), ())
    found = embed(engine, [LONG], truncate=truncate)
    assert np.array_equal(found, embed(engine, [tuple(left)]))
    expected = unit(reference(directory, whole(left), "mean"))
    assert np.abs(found[0] - expected).max() < 1e-5


@pytest.mark.parametrize("extra", [1, 26, 27, 28, 53, 54, 55, 100])
def test_windows_are_cut_and_joined_by_the_stated_rule(
    extra: int, engine: EmbeddingEngine, directory: Path
) -> None:
    """Windows fill the context and overlap by an eighth; weights are the tokens first held."""
    bare = (token_ids_of(directory, LONG, is_bare=True) * 2)[: ROOM + extra]
    step = ROOM - ROOM // 8
    windows, covered, weights = [], 0, []
    start = 0
    while covered < len(bare):
        window = bare[start : start + ROOM]
        weights.append(start + len(window) - covered)
        covered = start + len(window)
        windows.append(window)
        start += step
    assert sum(weights) == len(bare)
    rows = read(engine, "short", tuple(bare), "x", windows=True)
    assert rows.token_ids[1:-1] == tuple(whole(window) for window in windows)
    assert rows.windowed == (1,)
    assert rows.starts == (0, 1, 1 + len(windows), 2 + len(windows))
    vectors = np.stack([reference(directory, whole(window), "mean") for window in windows])
    expected = unit((vectors * np.array(weights)[:, None]).sum(axis=0) / len(bare))
    found = embed(engine, ["short", tuple(bare), "x"], windows=True)
    assert np.abs(found[1] - expected).max() < 1e-5
    alone = embed(engine, ["short", "x"])
    assert np.abs(found[[0, 2]] - alone).max() < 1e-6


def test_windows_change_nothing_for_inputs_that_fit(engine: EmbeddingEngine) -> None:
    rows = read(engine, "a", "b", windows=True)
    assert (rows.windowed, rows.starts) == ((), (0, 1, 2))
    assert np.array_equal(embed(engine, ["a", "b"], windows=True), embed(engine, ["a", "b"]))


def test_more_windows_than_can_be_meant_are_refused(engine: EmbeddingEngine) -> None:
    step = ROOM - ROOM // 8
    most = ROOM + step * (MAX_WINDOWS - 1)
    assert len(read(engine, (7,) * most, windows=True).token_ids) == MAX_WINDOWS
    with pytest.raises(RequestError, match=f"at most {MAX_WINDOWS}") as caught:
        read(engine, "x", (7,) * (most + 1), windows=True)
    assert caught.value.param == "input[1]"


@pytest.mark.parametrize("text", [*CORPUS[:1], "读取配置", " x "])
def test_token_ids_give_the_vector_of_their_text(
    text: str, engine: EmbeddingEngine, directory: Path
) -> None:
    ids = tuple(token_ids_of(directory, text, is_bare=True))
    assert np.array_equal(embed(engine, [ids]), embed(engine, [text]))


def test_a_token_id_that_the_model_has_not_is_named(engine: EmbeddingEngine) -> None:
    assert len(read(engine, (399,)).token_ids) == 1
    with pytest.raises(RequestError) as caught:
        read(engine, "x", (5, 400))
    assert caught.value.param == "input[1]"
    assert "token id 400" in caught.value.cause
    assert "below 400" in caught.value.cause
    with pytest.raises(RequestError):
        read(engine, (2**70,))


PROMPTS = Sentence(prompts={"query": "query: ", "code": "code: "}, default_prompt="code")


def test_prompts_are_put_before_texts_but_not_before_token_ids(tmp_path: Path) -> None:
    made = build_encoder("bert", tmp_path / "bert", sentence=PROMPTS)
    engine = load_engine(made)
    ids = tuple(token_ids_of(made, "add", is_bare=True))
    named = read(engine, "add", prompt_name="query").token_ids
    assert [list(row) for row in named] == [token_ids_of(made, "query: add")]
    assert list(read(engine, ids).token_ids[0]) == token_ids_of(made, "add")
    with pytest.raises(RequestError, match="a prompt goes before a text"):
        read(engine, "add", ids, prompt_name="query")
    assert list(read(engine, "add").token_ids[0]) == token_ids_of(made, "code: add")


def test_a_prompt_that_the_model_has_not_is_refused_with_those_that_it_has(
    tmp_path: Path, engine: EmbeddingEngine
) -> None:
    made = build_encoder("bert", tmp_path / "bert", sentence=PROMPTS)
    with pytest.raises(RequestError) as caught:
        read(load_engine(made), "add", prompt_name="querry")
    assert caught.value.param == "prompt_name"
    assert "`query`, `code`" in (caught.value.hint or "")
    with pytest.raises(RequestError, match="no prompt `query`"):
        read(engine, "add", prompt_name="query")


def test_a_model_that_lowers_its_texts_lowers_them(tmp_path: Path) -> None:
    settings = Sentence(lower_case=True)
    made = build_encoder("bert", tmp_path / "bert", sentence=settings)
    row = read(load_engine(made), "SELECT Name FROM Orders").token_ids[0]
    assert list(row) == token_ids_of(made, "select name from orders")


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "\ufeff", "\u202e", "😀" * 9])
def test_odd_characters_have_a_vector(text: str, engine: EmbeddingEngine) -> None:
    (vector,) = embed(engine, [text], truncate="end")
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_a_lone_surrogate_reads_as_a_question_mark(engine: EmbeddingEngine) -> None:
    assert np.array_equal(embed(engine, ["a\ud800b"]), embed(engine, ["a?b"]))


@pytest.mark.parametrize("unit_of_line", ["x", "x = 1; ", "读", "\t"])
def test_a_megabyte_of_one_line_is_cut_as_any_long_text(
    unit_of_line: str, engine: EmbeddingEngine, directory: Path
) -> None:
    text = unit_of_line * (2**20 // len(unit_of_line.encode()))
    rows = read(engine, text, truncate="end")
    assert rows.truncated == (0,)
    bare = token_ids_of(directory, text, is_bare=True)
    assert rows.token_ids == (whole(bare[:ROOM]),)
    with pytest.raises(RequestError, match="tokens, but the model's context"):
        read(engine, text)


class Silent:
    """A tokenizer without special tokens that drops white space."""

    def __call__(self, texts: Any, **_options: Any) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": [ord(each) for each in texts.strip()]}
        return {"input_ids": [[ord(each) for each in text.strip()] for text in texts]}


def test_an_input_of_no_tokens_is_refused_where_nothing_is_put_around_it() -> None:
    plan = EmbeddingPlan(pooling="mean", normalize=True, dimensions=8)
    reader = InputReader(Silent(), plan, context_tokens=None, vocabulary_tokens=500)
    rows = reader.read(EmbeddingRequest(model="m", inputs=("ab" * 999,)))
    assert len(rows.token_ids[0]) == 1998
    with pytest.raises(RequestError, match=r"`input\[1\]` has no tokens"):
        reader.read(EmbeddingRequest(model="m", inputs=("a", "  ")))
