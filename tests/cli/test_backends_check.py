from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.odd_server import (
    CLOSES,
    HANGS,
    OddServer,
    Said,
    counting,
    models,
    odd_server,
)
from tests.faults.server import FaultServer, Set
from trueup.backends.probe import Seen
from trueup.backends.probe_profile import Profile
from trueup.cli.backends_check import checked
from trueup.cli.backends_prober import Prober
from trueup.cli.backends_target import Target
from trueup.cli.backends_text import profile_lines
from trueup.cli.main import main

MAX_REQUESTS = 40
UNKNOWN = Said({"error": {"message": "no such model", "type": "x"}}, status=404)


async def profile_of(
    odd: OddServer, *, request_seconds: float = 5.0, total_seconds: float = 60.0, **more: Any
) -> Profile:
    target = Target(name="odd", url=odd.url, **more)
    async with Prober(
        api_key=target.api_key, request_seconds=request_seconds, total_seconds=total_seconds
    ) as prober:
        return await checked(target, prober)


def rows(profile: Profile) -> dict[str, Seen]:
    return {name: seen for _, name, seen in profile.rows}


def chat(shape: Any) -> Said:
    """Right answers, and right refusals."""
    if not isinstance(shape, dict):
        return Said({"error": {"message": "no JSON"}}, status=400)
    if shape["model"] != "m":
        return UNKNOWN
    if shape.get("temperature", 0) > 2:
        return Said({"error": {"message": "temperature"}}, status=400)
    return counting(shape)


def serving(talk: Callable[[Any], Said], *names: str) -> Callable[[str, str, Any], Said]:
    def answer(method: str, path: str, shape: Any) -> Said:
        if path == "/v1/models":
            return models(*(names or ("m",)))
        return talk(shape) if path == "/v1/chat/completions" else Said({}, status=404)

    return answer


async def test_a_server_without_quirks_is_sound() -> None:
    async with odd_server(serving(chat)) as odd:
        profile = await profile_of(odd)
    found = rows(profile)
    assert profile.is_sound
    assert (profile.kind, profile.model, profile.models) == ("chat", "m", ("m",))
    assert profile.server == "odd"
    assert profile.continuation == "continue_final_message"
    assert found["n"].verdict == "honoured"
    assert found["stop"].verdict == "ignored"
    assert found["usage asked for"].verdict == "ignored"
    assert found["tool_choice required"].verdict == "ignored"
    for name in ("finish_reason", "[DONE]", "role", "unknown model", "temperature 99", "no JSON"):
        assert found[name].verdict == "honoured", name
    assert profile.requests == len(odd.asked) <= MAX_REQUESTS
    assert profile.connect_seconds is not None
    assert profile.stream is not None
    assert profile.stream.first_token_seconds is not None


async def test_a_question_that_hangs_is_one_row_and_the_rest_goes_on() -> None:
    def talk(shape: Any) -> Said:
        hangs = isinstance(shape, dict) and ("logit_bias" in shape or "tools" in shape)
        return Said(HANGS) if hangs else chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd, request_seconds=1.0)
    found = rows(profile)
    for name in ("logit_bias", "tools"):
        assert found[name].verdict == "no answer"
        assert found[name].text.endswith("after 1 s")
    assert found["tool_choice none"].verdict == "not asked"
    assert found["n"].verdict == "honoured"
    assert found["no JSON"].verdict == "honoured"
    assert profile.is_sound


async def test_a_server_that_always_hangs_is_given_up_when_the_time_is_up() -> None:
    async with odd_server(lambda method, path, shape: Said(HANGS)) as odd:
        profile = await profile_of(odd, request_seconds=0.1, total_seconds=0.5)
    assert not profile.is_sound
    assert profile.kind is None


async def test_questions_for_which_there_is_no_time_are_rows_that_say_so() -> None:
    def talk(shape: Any) -> Said:
        return Said(HANGS) if isinstance(shape, dict) and "tools" in shape else chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd, request_seconds=30.0, total_seconds=2.0)
    found = rows(profile)
    assert found["tools"].verdict == "no answer"
    assert found["n"] == Seen(verdict="not asked", text="the time was up")
    assert found["no JSON"] == Seen(verdict="not asked", text="the time was up")


@pytest.mark.parametrize(
    ("ends", "row"), [(b"", "[DONE]"), (b"data: [DONE]\n\n" + CLOSES, "end of the body")]
)
async def test_a_stream_that_does_not_end_properly_is_no_sound_server(
    ends: bytes, row: str
) -> None:
    def talk(shape: Any) -> Said:
        is_stream = isinstance(shape, dict) and shape.get("stream")
        return counting(shape, ends=ends) if is_stream else chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd)
    assert not profile.is_sound
    assert profile.trouble == "its streams do not end properly"
    assert rows(profile)[row].verdict == "fails"
    assert profile.entry()["end_of_answer"] == "finish_reason"


async def test_a_server_that_only_streams_is_told() -> None:
    def talk(shape: Any) -> Said:
        is_whole = isinstance(shape, dict) and not shape.get("stream")
        return Said(b"boom", status=500, content_type="text/plain") if is_whole else chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd)
    assert profile.is_sound
    assert rows(profile)["whole answers"].text == "status 500: boom; as a stream it answers"


async def test_endless_answers_are_left() -> None:
    asked_without_limit = []
    many = counting({"messages": [{"role": "user", "content": ""}], "stream": True}, ends=b"")

    def talk(shape: Any) -> Said:
        if isinstance(shape, dict) and shape.get("max_tokens", 0) is None:
            asked_without_limit.append(shape)
            return Said(many.body * 20 + HANGS, content_type=many.content_type)
        return chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd, request_seconds=60.0)
    assert len(asked_without_limit) == 1
    assert rows(profile)["max_tokens: null"].verdict == "taken"


async def test_embeddings_are_enough_to_be_sound() -> None:
    def answer(method: str, path: str, shape: Any) -> Said:
        if path == "/v1/models":
            return models("e")
        if path == "/v1/embeddings" and isinstance(shape, dict) and shape["model"] == "e":
            return Said({"data": [{"embedding": [0.5, 1.0], "index": 0}]})
        return UNKNOWN

    async with odd_server(answer) as odd:
        profile = await profile_of(odd)
    assert profile.is_sound
    assert profile.kind == "embedding"
    assert rows(profile)["answers"].text == "embeddings of 2 dimensions"
    assert profile.entry()["kind"] == "embedding"


async def test_text_completions_are_asked_with_prompts() -> None:
    def answer(method: str, path: str, shape: Any) -> Said:
        if path == "/v1/models":
            return models("c")
        if path != "/v1/completions" or not isinstance(shape, dict):
            return Said({"detail": "Not Found"}, status=404)
        if shape.get("stream"):
            events = b'data: {"id":"1","choices":[{"text":"One","finish_reason":"stop"}]}\n\n'
            return Said(events + b"data: [DONE]\n\n", content_type="text/event-stream")
        return Said({"choices": [{"index": 0, "text": "One", "finish_reason": "stop"}]})

    async with odd_server(answer) as odd:
        profile = await profile_of(odd)
    assert (profile.kind, profile.is_sound) == ("completion", True)
    assert not any(group == "tools" for group, _, _ in profile.rows)


async def test_a_refused_key_is_told_and_nothing_else_is_asked() -> None:
    refused = Said({"detail": "Could not validate credentials"}, status=401)
    async with odd_server(lambda method, path, shape: refused) as odd:
        profile = await profile_of(odd)
        other = await profile_of(odd, api_key="wrong", key_variable="KEY")
    assert profile.trouble == "the key: none was sent, one is needed"
    assert other.trouble == "the key: refused"
    assert len(odd.asked) == 2
    assert other.as_dict()["key_taken"] is False
    assert "--api-key-env" in (other.hint or "")
    assert "wrong" not in json.dumps(other.as_dict())


async def test_a_key_that_is_needed_for_answers_alone_is_told_as_that() -> None:
    def talk(shape: Any) -> Said:
        return Said({"error": {"message": "no key"}}, status=401)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd)
    assert profile.trouble == "the key: none was sent, one is needed"
    assert rows(profile)["key"].verdict == "rejected"


async def test_of_a_server_that_only_fails_nothing_is_said_about_the_key() -> None:
    async with odd_server(lambda method, path, shape: Said("boom", status=500)) as odd:
        profile = await profile_of(odd, api_key="key", key_variable="KEY")
    assert profile.as_dict()["key_taken"] is None
    assert profile.trouble == "no question got an answer"
    assert odd.url in (profile.hint or "")


async def test_answers_that_break_off_are_not_called_too_short() -> None:
    def talk(shape: Any) -> Said:
        if not isinstance(shape, dict) or shape["model"] != "m":
            return chat(shape)
        said = chat(shape)
        body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        return Said(body + CLOSES, said.status, said.content_type)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd)
    assert rows(profile)["stop"] == Seen(verdict="not asked", text="no whole answer came")
    assert rows(profile)["temperature 99"].verdict != "ignored"


async def test_a_gateway_of_ours_is_not_asked_what_it_would_learn_from() -> None:
    async with odd_server(serving(chat)) as odd:
        profile = await profile_of(odd, preset="trueup")
    assert rows(profile)["an unknown parameter"].verdict == "not asked"
    assert not any("trueup_check" in repr(shape) for _, _, shape in odd.asked)


async def test_whether_the_key_is_needed_is_told() -> None:
    async with odd_server(serving(chat)) as odd:
        profile = await profile_of(odd, api_key="key", key_variable="KEY")
    assert profile.key == "taken, and not needed"
    assert odd.keys.count(None) == 1
    assert profile.entry()["api_key"] == "${env.KEY}"


async def test_of_several_models_the_first_or_the_named_one_is_asked() -> None:
    async with odd_server(serving(chat, "m", "other")) as odd:
        assert (await profile_of(odd)).model == "m"
        named = await profile_of(odd, model="other")
    assert named.model == "other"
    assert not named.is_sound
    assert "no such model" in rows(named)["answers"].text


async def test_the_make_is_guessed_and_its_version_asked_for() -> None:
    def answer(method: str, path: str, shape: Any) -> Said:
        if path == "/v1/models":
            return models("m", owner="vllm")
        if path == "/version":
            return Said({"version": "0.9.1"})
        return chat(shape) if path == "/v1/chat/completions" else Said({}, status=404)

    async with odd_server(answer) as odd:
        profile = await profile_of(odd)
        told = await profile_of(odd, preset="sglang")
    assert (profile.preset, profile.is_preset_guessed, profile.version) == ("vllm", True, "0.9.1")
    assert (told.preset, told.is_preset_guessed, told.version) == ("sglang", False, None)


async def test_limits_of_the_other_name_are_learned() -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."

    def talk(shape: Any) -> Said:
        if isinstance(shape, dict) and shape.get("max_tokens"):
            return Said({"error": {"message": message}}, status=400)
        return chat(shape)

    async with odd_server(serving(talk)) as odd:
        profile = await profile_of(odd)
    assert profile.is_sound
    assert rows(profile)["max_tokens"].verdict == "rejected"


@contextlib.asynccontextmanager
async def faulty(name: str) -> AsyncIterator[FaultServer]:
    async with FaultServer(slow_seconds=0.01).listening() as server:
        server.set = None if name == "healthy" else Set(name)
        yield server


@pytest.mark.parametrize(
    ("fault", "is_sound"),
    [
        ("healthy", True),
        ("split-at-every-byte", True),
        ("carriage-returns-split", True),
        ("line-of-1-mb", True),
        ("duplicate-roles", True),
        ("close-mid-character", False),
        ("end-after-3", False),
        ("no-last-chunk", False),
        ("stall-after-3", False),
        ("heartbeats-only", False),
        ("bad-chunk-size", False),
        ("finish-error", False),
        ("json-for-a-stream", False),
        ("not-http", False),
        ("html", False),
        ("500-null", False),
    ],
)
async def test_faults_of_every_family_are_found_and_never_a_bug(fault: str, is_sound: bool) -> None:
    async with faulty(fault) as server:
        target = Target(name="faulty", url=server.url)
        seconds = 10.0 if is_sound else 0.25
        async with Prober(api_key=None, request_seconds=seconds, total_seconds=60.0) as prober:
            profile = await checked(target, prober)
    assert profile.is_sound is is_sound
    lines = list(profile_lines(profile))
    assert all(line.isprintable() for line in lines)
    json.dumps(profile.as_dict())


def test_nobody_there_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "check", "http://127.0.0.1:1"]) == 1
    shown = capsys.readouterr()
    assert "cannot be reached" in shown.err
    assert main(["backends", "check", "http://127.0.0.1:1", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["key_taken"] is None
    assert "no connection" in shown.out


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_the_profile_is_printed_in_each_form(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def asked() -> int:
        async with odd_server(serving(chat)) as odd:
            words = ["backends", "check", odd.url, "--format", form, "--timeout-seconds", "5"]
            return await asyncio.to_thread(main, words)

    assert asyncio.run(asked()) == 0
    out = capsys.readouterr().out
    assert "continue_final_message" in out
    if form == "json":
        report = json.loads(out)
        assert report["schema_version"] == 1
        assert report["config"]["backends"]["backend"]["model"] == "m"
        assert report["latency"]["first_token_seconds"] > 0
    if form == "text":
        assert "cannot be seen from outside" in out


USAGE: list[tuple[list[str], str]] = [
    (["http://"], "is not the URL of a server"),
    (["http://user:secret@x/v1"], "carries more than a host"),
    (["xin"], "no configuration is named"),
    (["127.0.0.1:8001"], "hint:  write `http://127.0.0.1:8001`"),
    (["localhost:8001/v1"], "hint:  write `http://localhost:8001/v1`"),
    (["ftp://x"], "is not the URL of a server"),
    (["ftp://user:secret@x"], "carries a user name or a password"),
    (["http://x", "--timeout-seconds", "abc"], "`abc` is no number of seconds"),
    (["http://x", "--preset", "vlm"], "is no preset"),
    (["http://x", "--api-key-env", "TRUEUP_NO_SUCH"], "is not set"),
    (["http://x", "--timeout-seconds", "0"], "is not above 0"),
    ([], "required"),
]


@pytest.mark.parametrize(("words", "told"), USAGE)
def test_words_that_cannot_be_meant_are_exit_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backends", "check", *words]) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert "secret" not in shown.err + shown.out


def test_a_backend_of_the_configuration_is_checked_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ODD_KEY", "secret-key")
    file = tmp_path / "trueup.yaml"

    async def asked() -> tuple[int, OddServer]:
        async with odd_server(serving(chat)) as odd:
            file.write_text(
                "config_version: 1\nbackends:\n  odd:\n"
                f'    url: "{odd.url}"\n    model: m\n    api_key: "${{env.ODD_KEY}}"\n'
            )
            words = ["backends", "check", "odd", "--config", str(file), "--format", "json"]
            return await asyncio.to_thread(main, words), odd

    status, odd = asyncio.run(asked())
    out = capsys.readouterr().out
    assert status == 0, out
    assert json.loads(out)["name"] == "odd"
    assert json.loads(out)["config"]["backends"]["odd"]["api_key"] == "${env.ODD_KEY}"
    assert "Bearer secret-key" in odd.keys
    assert "secret-key" not in out
    assert main(["backends", "check", "od", "--config", str(file)]) == 1
    assert "did you mean `odd`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--preset", "vllm"], ["--model", "m"], ["--format", "yaml"]], ids=" ".join
)
def test_a_model_that_llamafactory_runs_is_asked_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trueup.yaml"
    entry = {"preset": "llamafactory", "base_model_path": "/m"}
    file.write_text(json.dumps({"config_version": 1, "backends": {"tuned": entry}}))
    assert main(["backends", "check", "tuned", "--config", str(file), *words]) == 2
    told = capsys.readouterr().err
    assert words[0] in told
    assert "`tuned`" in told


def test_each_command_names_itself_where_no_configuration_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRUEUP_CONFIG", raising=False)
    for action in ("check", "trust-host"):
        assert main(["backends", action, "tuned"]) == 2
        hint = f"trueup backends {action} tuned --config trueup.yaml"
        assert hint in capsys.readouterr().err
