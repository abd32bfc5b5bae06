from __future__ import annotations

from pathlib import Path

import pytest

from trueup.config.agents.convert import Converted, convert
from trueup.config.load import check_config
from trueup.config.settings import Acceptance, Settings
from trueup.errors import ConfigError

SAMPLES = Path(__file__).parent / "samples"
NAMES = ("documents", "list", "short")


def sample(name: str) -> Converted:
    return convert((SAMPLES / f"{name}.json").read_bytes(), f"{name}.json")


def read_back(converted: Converted, folder: Path) -> Settings:
    path = folder / "made.yaml"
    path.write_text(converted.text, encoding="utf-8")
    checked = check_config(path, {"MODELS": "/models"})
    assert checked.errors == ()
    assert checked.settings is not None
    return checked.settings


def made(json: str, folder: Path) -> Settings:
    return read_back(convert(json.encode(), "a.json"), folder)


def test_the_documents_json_becomes_this_configuration() -> None:
    assert sample("documents").text == (SAMPLES / "documents.yaml").read_text(encoding="utf-8")


def test_what_has_no_key_and_what_is_not_decided_is_told_with_its_line() -> None:
    notes = sample("documents").notes
    assert [note.partition(": ")[0] for note in notes] == ["documents.json:3", "documents.json:24"]
    assert "version: kept as a comment" in notes[0]
    assert 'no model yet (model_name: "TBD")' in notes[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_a_valid_configuration(name: str, tmp_path: Path) -> None:
    settings = read_back(sample(name), tmp_path)
    assert settings.roles
    assert {model.name for model in settings.models} == {
        member for role in settings.roles for member in role.chain
    }


def test_a_list_of_agents_with_fallbacks_becomes_chains(tmp_path: Path) -> None:
    converted = sample("list")
    settings = read_back(converted, tmp_path)
    assert {role.name: role.chain for role in settings.roles} == {
        "user_communication": ("Qwen2-7B-Instruct", "chatglm3-6b"),
        "code_analysis": ("codebert-base",),
        "review": ("Qwen2-7B-Instruct",),
    }
    for kept in ('fallback_models[1]: "TBD"', "temperature: 0", "planner", "model: null"):
        assert kept in converted.text
    assert converted.summary == "3 models, 3 roles, 1 without a model yet"


def test_names_alone_lists_and_variables_are_understood(tmp_path: Path) -> None:
    settings = read_back(sample("short"), tmp_path)
    assert {model.name: model.source for model in settings.models} == {
        "chatglm3-6b": "THUDM/chatglm3-6b",
        "codebert-base": "microsoft/codebert-base",
        "other-codebert-base": "other/codebert-base",
        "glm": "/models/glm",
    }
    assert "performance_analysis" not in {role.name for role in settings.roles}
    for kept in ("只有名字", 'system.log_level: "debug"', "performance_analysis"):
        assert kept in sample("short").text


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        ('{"glm": "o/glm"}', ["o-glm"]),
        ('{"a": "o/glm", "b": "p/glm", "c": "q/p/glm"}', ["glm", "p-glm", "glm-2"]),
        ('{"a": "o/glm", "b": "o/glm"}', ["glm"]),
        ('{"a": "C:\\\\\\\\models\\\\\\\\glm"}', ["glm"]),
        ('{"a": "true", "b": "1e5", "c": "*x", "d": "a: #b", "e": "模型"}', None),
    ],
)
def test_models_get_short_names_of_their_own(
    roles: str, names: list[str] | None, tmp_path: Path
) -> None:
    models = made(f'{{"models": {roles}}}', tmp_path).models
    if names is None:
        assert [model.source for model in models] == ["true", "1e5", "*x", "a: #b", "模型"]
    else:
        assert [model.name for model in models] == names


@pytest.mark.parametrize(
    ("shape", "acceptance"),
    [
        ('"maxResponseTime": "500 ms"', Acceptance(answer_seconds=0.5)),
        ('"response_time_ms": 500', Acceptance(answer_seconds=0.5)),
        ('"requirements": {"latency": "< 2s", "x": 1}', Acceptance(answer_seconds=2)),
        ('"first_token_time": 1', Acceptance(first_token_seconds=1)),
        ('"similarity_accuracy": 85', Acceptance(similarity_accuracy=0.85)),
        ('"language": "zh,en"', Acceptance(languages=("zh", "en"))),
        ('"response_time": 5000', Acceptance()),
        ('"response_time": "fast"', Acceptance()),
        ('"timeout": 3', Acceptance()),
        ('"languages": ["klingon"]', Acceptance()),
    ],
)
def test_figures_are_taken_where_they_are_clear_and_kept_in_any_case(
    shape: str, acceptance: Acceptance, tmp_path: Path
) -> None:
    json = f'{{"models": {{"a": {{"model_name": "o/glm", {shape}}}}}}}'
    (role,) = made(json, tmp_path).roles
    assert role.acceptance == acceptance
    value = shape.partition(":")[2].strip()
    for kept in ("< 2s", '"x": 1') if value.startswith("{") else (value,):
        assert kept.replace('"x"', "x") in convert(json.encode(), "a.json").text


def test_the_time_of_an_encoder_is_that_of_its_embeddings(tmp_path: Path) -> None:
    json = '{"models": {"a": {"model_name": "m/codebert-base", "response_time": "2s"}}}'
    (role,) = made(json, tmp_path).roles
    assert role.acceptance == Acceptance(embedding_seconds=2)


# text, what the place says, what the cause says, what the hint says
ERRORS: dict[str, tuple[str | bytes, str, str, str]] = {
    "empty": (" ", "a.json", "empty", ""),
    "GBK": ('{"models": {"中": "x"}}'.encode("gbk"), "a.json", "0xd6 at offset 13", "iconv -f gbk"),
    "a list": ("[1]", "a.json", "holds a list, expected an object with roles", '{"models"'),
    "no roles": ('{"a": 1}', "a.json", "an object with `a`", '{"models"'),
    "no role at all": ('{"models": {}}', "a.json", "expected an object with roles", ""),
    "nested": ('{"models": {"a": ' + "[" * 5000, "a.json", "nested too deeply", ""),
    "a missing comma": ('{"models": {\n "a": "x"\n "b": "y"}}', "a.json:3:2", "not JSON", "commas"),
    "None": ('{"models": {"a": None}}', "a.json:1:19", "not JSON", "true, false and null"),
    "a wrong comment": ('{\n# c\n"models": {}}', "a.json:2:2", "not JSON", "`// …`"),
    "curly quotes": ("{“models”: {}}", "a.json:1:3", "not JSON", "straight quotes"),
    "cut": ('{"models": {"a": "x', "a.json:1", "end of input", ""),
    "a role twice": (
        '{"models": {"a": "x",\n"a": "y"}}',
        "a.json:2: models.a",
        "twice, first in line 1",
        "rename",
    ),
    "two roles of one name": (
        '{"models": {"a b": "x", "a_b": "y"}}',
        "models.a_b",
        "two roles are called `a_b`",
        "fallback_models",
    ),
    "a number": ('{"models": {"a": {"model": 3}}}', "a.json:1: models.a.model", "is 3", ""),
    "a line break": ('{"models": {"a": "x\\ny"}}', "a.json:1: models.a", "expected a name", ""),
    "half a character": ('{"models": {"a": "\\ud800"}}', "a.json:1: models.a", "a name", ""),
    "no name": ('{"models": {"": "x"}}', "a.json:1", "expected a name", ""),
    "nobody's": ('{"models": [\n{"model": "x"}]}', "a.json:2: models[0]", "whose", '"role"'),
    "a wrong variable": ('{"models": {"a": "${1}"}}', "a.json", "`${1}` is no reference", ""),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_the_place_the_value_and_the_next_step(case: str) -> None:
    text, where, cause, hint = ERRORS[case]
    with pytest.raises(ConfigError) as caught:
        convert(text if isinstance(text, bytes) else text.encode(), "a.json")
    assert where in str(caught.value.where)
    assert cause in caught.value.cause
    assert hint in str(caught.value.hint or "")


def test_texts_that_would_end_a_comment_do_not(tmp_path: Path) -> None:
    json = '{"models": {"a": {"model_name": "x", "status": "1\\n2\\u2028b: 1\\u0085c: 1\\ud800"}}}'
    (role,) = made(json, tmp_path).roles
    assert role.chain == ("x",)


def test_comments_stand_with_the_role_that_they_were_written_for() -> None:
    text = convert(
        b"""// file
        {"models": {"a": "x", // behind a
          // before b
          "b": "y" /* behind b */
        } // end
        }""",
        "a.json",
    ).text
    before, _, roles = text.partition("roles:")
    a, _, b = roles.partition("  b:")
    assert "# file" in before
    assert "# end" in before
    assert "# behind a" in a
    assert "# before b" in b
    assert "# behind b" in b
