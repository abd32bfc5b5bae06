from __future__ import annotations

from pathlib import Path

import pytest

from trueup.errors import ConfigError
from trueup.suite.expectation import Expectation
from trueup.suite.prompts import MAX_FILE_BYTES, read_prompts

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "suite" / "prompts.yaml"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_prompts_is_read_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.yaml",
        """
prompts:
  - prompt: 你好
    contains: 你好
    language: zh
  - id: two
    messages: [{role: system, content: "Be short. ${env.X}"}, {role: user, content: hi}]
    not_contains: [error, sorry]
    matches: ['^H']
    ignore_case: true
    max_tokens: 9
    within_seconds: 2.5
  - {prompt: q, system: s}
""",
    )
    first, second, third = read_prompts(path)
    assert (first.id, first.messages) == ("1", ({"role": "user", "content": "你好"},))
    assert first.expectation == Expectation(contains=("你好",), language="zh")
    assert (first.max_tokens, first.within_seconds) == (None, None)
    assert (first.place.path, first.place.line) == (str(path), 3)
    assert second.messages[0] == {"role": "system", "content": "Be short. ${env.X}"}
    assert second.expectation == Expectation(
        not_contains=("error", "sorry"), matches=("^H",), ignore_case=True
    )
    assert (second.id, second.max_tokens, second.within_seconds) == ("two", 9, 2.5)
    assert [each["role"] for each in third.messages] == ["system", "user"]


def test_json_and_json_lines_are_read_too(tmp_path: Path) -> None:
    whole = written(tmp_path / "p.json", '{"prompts": [{"prompt": "a"}, {"prompt": "b"}]}')
    lines = written(tmp_path / "p.jsonl", '{"prompt": "a"}\n\n{"prompt": "b", "id": "x"}\n')
    assert [each.id for each in read_prompts(whole)] == ["1", "2"]
    one, two = read_prompts(lines)
    assert (one.id, two.id, two.place.line) == ("1", "x", 3)


@pytest.mark.parametrize(
    ("entry", "cause", "where"),
    [
        ("{prompt: }", "`prompt` is `null`, expected a text", "prompts[0].prompt"),
        ("{prompt: ' '}", '`prompt` is `" "`, expected a text', "prompts[0].prompt"),
        ("{}", "one of `prompt` and `messages` is needed", "prompts[0]"),
        ("{prompt: a, messages: [{role: user, content: a}]}", "and not both", "prompts[0]"),
        ("hello", 'the entry is `"hello"`, expected keys', "prompts[0]"),
        ("{prompt: a, contain: b}", "`contain` is not known", "prompts[0].contain"),
        ("{prompt: a, contains: 3}", "`contains` is `3`, expected texts", "prompts[0].contains"),
        ("{prompt: a, contains: ['']}", '`contains` is `[""]`', "prompts[0].contains"),
        ("{prompt: a, matches: '('}", "`(` is no regular expression", "prompts[0].matches"),
        ("{prompt: a, id: 'a b'}", "`a b` is no id", "prompts[0].id"),
        ("{prompt: a, max_tokens: 0}", "`max_tokens` is `0`", "prompts[0].max_tokens"),
        ("{prompt: a, max_tokens: true}", "`max_tokens` is `true`", "prompts[0].max_tokens"),
        ("{prompt: a, within_seconds: .inf}", "`within_seconds`", "prompts[0].within_seconds"),
        ("{prompt: a, ignore_case: 1}", "expected true or false", "prompts[0].ignore_case"),
        ("{prompt: a, language: xx}", "`xx` cannot be told, only `zh`", "prompts[0].language"),
        ("{messages: []}", "`messages` is `[]`, expected a list", "prompts[0].messages"),
        ("{messages: [{role: boss, content: a}]}", "expected `role`", "prompts[0].messages"),
        ("{messages: [{role: user, content: a}], system: b}", "into `messages`", "prompts[0].sy"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told_with_its_line(
    entry: str, cause: str, where: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "p.yaml", f"# prompts\nprompts:\n  - {entry}\n")
    with pytest.raises(ConfigError) as caught:
        read_prompts(path)
    assert cause in caught.value.cause
    assert (caught.value.where or "").startswith(f"{path}:3: {where}")


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("p.yaml", "prompts: []", "the file holds no prompts"),
        ("p.yaml", "prompts: 3", "`prompts` is `3`, expected a list"),
        ("p.yaml", "prompt: a", "`prompt` is not known, expected `prompts`"),
        ("p.yaml", "- a", "the file holds a list"),
        ("p.yaml", "a: [", "the file is not YAML"),
        ("p.jsonl", '{"prompt": "a"}\n{', "the line is no JSON"),
        ("p.jsonl", "[" * 100_000, "the line is no JSON"),
        ("p.jsonl", "\n", "the file holds no prompts"),
        ("p.yaml", "prompts: [{id: a, prompt: b}, {id: a, prompt: c}]", "`a` is also the id of"),
        ("p.yaml", "#" * (MAX_FILE_BYTES + 1), "the file is longer than"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    name: str, text: str, cause: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=cause.replace("[", r"\[")):
        read_prompts(written(tmp_path / name, text))


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_prompts(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prompts(tmp_path)


def test_the_example_is_a_file_of_prompts() -> None:
    assert len(read_prompts(EXAMPLE)) >= 3
