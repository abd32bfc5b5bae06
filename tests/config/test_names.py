from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.config.load import check_config, load_config
from trueup.config.mistake import Mistake
from trueup.config.settings import Acceptance, AliasSettings, RoleSettings
from trueup.errors import ConfigError

HEAD = """\
config_version: 1
models:
  glm: {source: demo}
  bert: {source: org/bert}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def errors(folder: Path, text: str) -> tuple[Mistake, ...]:
    return check_config(write(folder, text), {}).errors


def test_roles_and_aliases_are_read_with_their_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD
        + """\
roles:
  talk:
    chain: [glm, bert]
    acceptance: {answer_seconds: 5, first_token_seconds: 0.5, embedding_seconds: 2,
                 similarity_accuracy: 0.85, languages: [zh, en, pt-BR]}
aliases: {gpt-4o: talk, b: bert}
""",
    )
    settings = load_config(path, {})
    acceptance = Acceptance(
        answer_seconds=5,
        first_token_seconds=0.5,
        embedding_seconds=2,
        similarity_accuracy=0.85,
        languages=("zh", "en", "pt-BR"),
    )
    assert settings.roles == (
        RoleSettings(name="talk", chain=("glm", "bert"), acceptance=acceptance),
    )
    assert settings.aliases == (
        AliasSettings(name="gpt-4o", target="talk"),
        AliasSettings(name="b", target="bert"),
    )
    assert settings.roles[0].place == f"{path}:6: roles.talk"
    assert [alias.place for alias in settings.aliases] == [
        f"{path}:10: aliases.gpt-4o",
        f"{path}:10: aliases.b",
    ]


def test_what_a_suite_measures_is_read_and_shown_as_it_was_written(tmp_path: Path) -> None:
    stated = {
        "languages": ["zh"],
        "prompts": ["p.yaml"],
        "host_memory_bytes": 5,
        "device_memory_bytes": 7,
        "pairs": "x.jsonl",
        "compare_with": "bert",
    }
    roles = {"talk": {"chain": ["glm"], "acceptance": stated}}
    path = write(tmp_path, f"{HEAD}roles: {json.dumps(roles)}\n")
    acceptance = load_config(path, {}).roles[0].acceptance
    assert acceptance == Acceptance(
        languages=("zh",),
        prompts=("p.yaml",),
        host_memory_bytes=5,
        device_memory_bytes=7,
        pairs="x.jsonl",
        compare_with="bert",
    )
    assert acceptance.as_dict() == stated


# text behind HEAD, the key, what the cause says, what the hint says
ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "a role of a model's name": (
        "roles: {glm: {chain: [bert]}}",
        "roles.glm",
        "`glm` is a role here and a model at ",
        "rename",
    ),
    "an alias of a role's name": (
        "roles: {r: {chain: [glm]}}\naliases: {r: glm}",
        "aliases.r",
        "`r` is an alias here and a role at ",
        "rename",
    ),
    "an alias of a model's name": (
        "aliases: {glm: bert}",
        "aliases.glm",
        "`glm` is an alias here and a model at ",
        "rename",
    ),
    "a near miss": (
        "roles:\n  r: {chain: [bert, glmm]}",
        "roles.r.chain[1]",
        "`glmm` is not known",
        "did you mean `glm`",
    ),
    "an unknown model": (
        "roles: {r: {chain: [xyz]}}",
        "roles.r.chain[0]",
        "`xyz` is not known",
        "known here: `glm`, `bert`",
    ),
    "a model twice": ("roles: {r: {chain: [glm, glm]}}", "roles.r.chain[1]", "twice", "remove"),
    "itself": ("roles: {r: {chain: [r]}}", "roles.r.chain[0]", "`r` is a role", "chain"),
    "a role in a chain": (
        "roles: {r: {chain: [glm]}, s: {chain: [r]}}",
        "roles.s.chain[0]",
        "`r` is a role; a chain names models",
        None,
    ),
    "an alias in a chain": (
        "aliases: {g: glm}\nroles: {r: {chain: [g]}}",
        "roles.r.chain[0]",
        "`g` is an alias; a chain names models",
        "write `glm`",
    ),
    "an empty chain": (
        "roles: {r: {chain: []}}",
        "roles.r.chain",
        "an empty list",
        "chain: [NAME]",
    ),
    "no chain": ("roles: {r: {}}", "roles.r.chain", "`chain` is missing", None),
    "a text as chain": ("roles: {r: {chain: glm}}", "roles.r.chain", "expected a list", None),
    "a number in a chain": (
        "roles: {r: {chain: [1]}}",
        "roles.r.chain[0]",
        "`1`, expected a text",
        None,
    ),
    "an alias of nothing": (
        "aliases: {a: glmm}",
        "aliases.a",
        "no model, backend or role",
        "did you mean `glm`",
    ),
    "an alias of an alias": (
        "aliases: {a: b, b: glm}",
        "aliases.a",
        "`b` is an alias itself",
        "write `glm`",
    ),
    "an alias of itself": ("aliases: {a: a}", "aliases.a", "`a` -> `a` name each other", "a model"),
    "aliases in a circle": (
        "aliases: {a: b, b: c, c: a}",
        "aliases.a",
        "`a` -> `b` -> `c` -> `a`",
        "a model",
    ),
    "null as target": ("aliases: {a: null}", "aliases.a", "`null`, expected a text", None),
    "a negative time": (
        "roles: {r: {chain: [glm], acceptance: {answer_seconds: -1}}}",
        "roles.r.acceptance.answer_seconds",
        "`-1`, expected greater than 0",
        None,
    ),
    "a time with its unit": (
        "roles: {r: {chain: [glm], acceptance: {answer_seconds: 5s}}}",
        "roles.r.acceptance.answer_seconds",
        "`5s`, expected a number",
        None,
    ),
    "a share in percent": (
        "roles: {r: {chain: [glm], acceptance: {similarity_accuracy: 85}}}",
        "roles.r.acceptance.similarity_accuracy",
        "`85`, expected less than or equal to 1",
        None,
    ),
    "a language's name": (
        "roles: {r: {chain: [glm], acceptance: {languages: [Chinese]}}}",
        "roles.r.acceptance.languages[0]",
        "`Chinese`, expected the code of a language, such as `zh`",
        None,
    ),
    "an unknown rival": (
        "roles: {r: {chain: [glm], acceptance: {compare_with: glmm}}}",
        "roles.r.acceptance.compare_with",
        "`glmm` is not known: what a role is compared with is a model or a backend",
        "did you mean `glm`",
    ),
    "no memory": (
        "roles: {r: {chain: [glm], acceptance: {host_memory_bytes: 0}}}",
        "roles.r.acceptance.host_memory_bytes",
        "`0`, expected greater than 0",
        None,
    ),
    "an unknown aim": (
        "roles: {r: {chain: [glm], acceptance: {answer_second: 5}}}",
        "roles.r.acceptance.answer_second",
        "`answer_second` is not a key here",
        "did you mean `answer_seconds`",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_one_mistake_is_told_once_with_its_place(case: str, tmp_path: Path) -> None:
    text, key, cause, hint = ERRORS[case]
    (error,) = errors(tmp_path, HEAD + text)
    assert error.where.endswith(f": {key}")
    assert error.line is not None
    assert error.line >= 5
    assert cause in error.cause
    assert hint is None or hint in str(error.hint)


BACKENDS = """\
config_version: 1
models:
  glm: {source: demo}
  bert: {source: org/bert, kind: embedding}
backends:
  xin: {url: "http://h"}
  gte: {url: "http://h", kind: embedding}
"""


def test_chains_and_aliases_name_models_and_backends(tmp_path: Path) -> None:
    text = BACKENDS + "roles: {r: {chain: [xin, glm]}, s: {chain: [bert, gte]}}\naliases: {a: xin}"
    checked = check_config(write(tmp_path, text), {})
    assert (checked.errors, checked.warnings) == ((), ())
    assert checked.settings is not None
    assert [role.chain for role in checked.settings.roles] == [("xin", "glm"), ("bert", "gte")]
    assert checked.settings.aliases[0].target == "xin"


# text, the place, the cause, the hint
BACKEND_ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "a backend's name twice": (
        "roles: {xin: {chain: [glm]}}",
        "c.yaml:8: roles.xin",
        "`xin` is a role here and a backend at",
        "rename one of them",
    ),
    "a model's name twice": (
        "  glm: {url: 'http://h'}",
        "c.yaml:8: backends.glm",
        "`glm` is a backend here and a model at",
        None,
    ),
    "an unknown name": (
        "roles: {r: {chain: [xim]}}",
        "roles.r.chain[0]",
        "`xim` is not known: it is no name under `models` or `backends`",
        "did you mean `xin`",
    ),
    "an alias of a backend in a chain": (
        "roles: {r: {chain: [a]}}\naliases: {a: xin}",
        "roles.r.chain[0]",
        "`a` is an alias; a chain names models and backends",
        "write `xin`",
    ),
    "a kind that is the default": (
        "roles: {r: {chain: [bert, xin]}}",
        "roles.r.chain",
        "this chain mixes embedding `bert` (",
        "make a role of each kind",
    ),
    "two kinds of backends": (
        "roles: {r: {chain: [xin, gte]}}",
        "roles.r.chain",
        "c.yaml:6: backends.xin",
        None,
    ),
}


@pytest.mark.parametrize("case", BACKEND_ERRORS)
def test_names_of_backends_are_checked_like_those_of_models(case: str, tmp_path: Path) -> None:
    text, place, cause, hint = BACKEND_ERRORS[case]
    (error,) = errors(tmp_path, BACKENDS + text)
    assert error.where.endswith(place)
    assert cause in error.cause
    assert hint is None or hint in str(error.hint)


@pytest.mark.parametrize("text", ["backends: [xin]", "backends: 1", "backends: null"])
def test_where_backends_are_none_names_are_not_looked_up_in_them(text: str, tmp_path: Path) -> None:
    (error,) = errors(tmp_path, f"{HEAD}{text}\nroles: {{r: {{chain: [xin]}}}}\n")
    assert error.where.endswith("backends")


def test_a_backend_in_no_role_is_nothing_odd_and_one_called_like_a_source_is(
    tmp_path: Path,
) -> None:
    text = f"{HEAD}backends: {{org/bert: {{url: 'http://h'}}}}"
    (warning,) = check_config(write(tmp_path, text), {}).warnings
    assert "`org/bert` is also the source of the model `bert`" in warning.cause


def test_models_of_stated_kinds_are_not_mixed(tmp_path: Path) -> None:
    text = """\
config_version: 1
models:
  glm: {source: demo, kind: chat}
  bert: {source: org/bert, kind: embedding}
  other: {source: org/other}
roles:
  r: {chain: [glm, bert]}
  s: {chain: [glm, other]}
"""
    (error,) = errors(tmp_path, text)
    assert error.where.endswith("c.yaml:7: roles.r.chain")
    assert "c.yaml:3: models.glm.kind" in error.cause
    assert "c.yaml:4: models.bert.kind" in error.cause


def test_independent_mistakes_are_all_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
config_version: 1
server:
  prot: 1
  host: ${env.NOT_SET}
models:
  glm: {source: demo, dtype: float23}
roles:
  r: {chain: [glmm, "${env.NOT_SET}"]}
  glm: {chain: [glm]}
aliases:
  a: nothing
"""
    found = errors(tmp_path, text)
    assert [error.where.rpartition("/")[2] for error in found] == [
        "c.yaml:3: server.prot",
        "c.yaml:4: server.host",
        "c.yaml:6: models.glm.dtype",
        "c.yaml:8: roles.r.chain[1]",
        "c.yaml:8: roles.r.chain[0]",
        "c.yaml:9: roles.glm",
        "c.yaml:11: aliases.a",
    ]
    with pytest.raises(ConfigError, match="`prot`"):
        load_config(tmp_path / "c.yaml", {})


def test_the_first_of_several_mistakes_says_how_to_see_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, "config_version: 2\nserver: {port: x}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert caught.value.hint == f"trueup config validate {path}   (shows 1 more)"
    path = write(tmp_path, "config_version: 1\nserver:\n  prot: 1\n  port: x\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    hint = f"did you mean `port`; trueup config validate {path}   (shows 1 more)"
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["models: [glm]", "models: 1", "models: null"])
def test_where_models_are_none_names_are_not_looked_up_in_them(text: str, tmp_path: Path) -> None:
    roles = "\nroles: {r: {chain: [glm]}}\naliases: {a: glm}"
    (error,) = errors(tmp_path, f"config_version: 1\n{text}{roles}")
    assert error.where.endswith("models")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: " + "[" * 400 + "]" * 400, "not YAML: maximum recursion depth"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
                for before, name in zip("abcdef", "bcdefg", strict=True)
            ),
            "more than 100000 values",
        ),
        ("1: a\n'1': b", "`1` is here twice"),
    ],
)
def test_yaml_without_measure_ends_in_an_error(text: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=cause):
        load_config(write(tmp_path, f"config_version: 1\n{text}"), {})


def test_a_name_that_yaml_reads_as_a_number_is_a_name_with_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "config_version: 1\nmodels:\n  1:\n    source: demo\n    pin: x")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert caught.value.where == f"{path}:5: models.1.pin"


# text, the line and what the warning says
ODD: dict[str, tuple[str, int, str]] = {
    "unused": ("roles: {r: {chain: [glm]}}", 4, "`bert` is in no role and has no alias"),
    "shadowing": (
        "aliases: {org/bert: glm, b: bert}",
        5,
        "`org/bert` is also the source of the model `bert`",
    ),
    "twins": ("  again: {source: demo}", 5, "`again` and `glm` are the same model"),
    "pinned": ("  p: {source: x, pin: true, ttl_seconds: 5}", 5, "`ttl_seconds` changes nothing"),
    "a plain key": ("server: {api_keys: [one]}", 5, "can be read by everybody"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_valid_and_odd_is_a_warning(case: str, tmp_path: Path) -> None:
    text, line, cause = ODD[case]
    checked = check_config(write(tmp_path, HEAD + text), {})
    assert checked.errors == ()
    (warning,) = checked.warnings
    assert warning.line == line
    assert cause in warning.cause


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aliases: {gpt-4o: glm}",
        "roles: {r: {chain: [glm]}}\naliases: {b: bert}",
        "aliases: {org/bert: bert}",
        "roles: {org/bert: {chain: [glm, bert]}}",
        "  half: {source: demo, dtype: float32}",
        "  iso: {source: demo, route: isolated}",
        "  own: {source: demo, python: /python}",
        "  p: {source: x, pin: true}",
        "server: {api_keys: ['${env.KEY}']}",
    ],
)
def test_what_is_not_odd_is_no_warning(text: str, tmp_path: Path) -> None:
    checked = check_config(write(tmp_path, HEAD + text), {"KEY": "k"})
    assert (checked.errors, checked.warnings) == ((), ())
