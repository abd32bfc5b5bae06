from __future__ import annotations

import json
import re
from dataclasses import asdict, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from trueup.config.document import read_document
from trueup.config.json_schema import schema_text
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.config.load import check_config, load_config
from trueup.config.settings import (
    PROFILES,
    Acceptance,
    AliasSettings,
    BackendSettings,
    ClientProfile,
    LimitSettings,
    ModelSettings,
    RoleSettings,
    ServerSettings,
)
from trueup.config.show import shown_tree, yaml_text

FOLDER = Path(str(files("trueup.config")))
SCHEMA: dict[str, Any] = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (FOLDER / "schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "trueup config schema > src/trueup/config/schema.json"


def test_the_example_is_valid_and_nothing_of_it_is_odd() -> None:
    checked = check_config(FOLDER / "example.yaml", {})
    assert (checked.errors, checked.warnings) == ((), ())


def sections(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"Configuration": schema, **schema["$defs"]}


@pytest.mark.parametrize("section", sections(SCHEMA))
def test_every_key_has_a_description_and_others_are_refused(section: str) -> None:
    shape = sections(SCHEMA)[section]
    assert shape["additionalProperties"] is False
    assert all(each["description"] for each in shape["properties"].values())


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("ServerSection", ServerSettings),
        ("ModelSection", ModelSettings),
        ("AcceptanceSection", Acceptance),
        ("BackendSection", BackendSettings),
        ("LimitsSection", LimitSettings),
        ("ProfileSection", ClientProfile),
    ],
)
def test_the_defaults_of_the_file_are_those_of_the_settings(section: str, settings: Any) -> None:
    needed = {"name": "x", "source": "x", "url": None}
    made = settings(**{key: needed[key] for key in needed if key in settings.__dataclass_fields__})
    # Keys of a model that LlamaFactory runs stand beside those of servers.
    others = [LlamaFactorySettings(name="x"), HostSettings(host="h")]
    for name, shape in SCHEMA["$defs"][section]["properties"].items():
        if "default" in shape and name not in ("mode", "host"):
            key = {"strict": "is_strict"}.get(name, name)
            owner = next(each for each in (made, *others) if hasattr(each, key))
            value = getattr(owner, key)
            value = asdict(value) if is_dataclass(value) else value
            assert (list(value) if isinstance(value, tuple) else value) == shape["default"], name


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value has the keys and types that the schema names; no more is checked."""
    if reference := schema.get("$ref"):
        return fits(value, SCHEMA["$defs"][reference.rpartition("/")[2]])
    if choices := schema.get("anyOf"):
        return any(fits(value, each) for each in choices)
    types = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": int | float,
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, types[schema["type"]]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list):
        return all(fits(each, schema["items"]) for each in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if not set(schema.get("required", ())) <= value.keys():
            return False
        others = [*schema.get("patternProperties", {}).values()]
        others += [each for each in [schema.get("additionalProperties")] if isinstance(each, dict)]
        return all(
            fits(each, known[key]) if key in known else any(fits(each, other) for other in others)
            for key, each in value.items()
        )
    return True


def plain(node: Any) -> Any:
    return json.loads(json.dumps(node))


def test_the_example_has_the_keys_and_types_of_the_schema() -> None:
    tree = plain(read_document(FOLDER / "example.yaml").tree)
    assert fits(tree, SCHEMA)
    for wrong in (
        {**tree, "x": 1},
        {**tree, "aliases": {"a": 1}},
        {**tree, "models": {"glm": {"source": "demo", "kind": "x"}}},
        {**tree, "roles": {"r": {}}},
    ):
        assert not fits(wrong, SCHEMA)


def test_what_is_shown_is_the_same_configuration(tmp_path: Path) -> None:
    settings = load_config(FOLDER / "example.yaml", {})
    path = tmp_path / "shown.yaml"
    path.write_text(yaml_text(shown_tree(settings)), encoding="utf-8")
    again = load_config(path, {})
    named = {each.name: each for each in again.profiles}
    assert named == {**PROFILES, **{each.name: each for each in settings.profiles}}
    assert replace(again, profiles=settings.profiles) == settings
    assert isinstance(again.roles[0], RoleSettings)
    assert isinstance(again.aliases[0], AliasSettings)


@pytest.mark.parametrize(
    "text", ["server: {api_keys: [s3cret]}", "backends: {x: {url: 'http://h', api_key: s3cret}}"]
)
def test_what_hides_a_key_is_no_key(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"config_version: 1\n{text}")
    shown = yaml_text(shown_tree(load_config(path, {})))
    assert "s3cret" not in shown
    path.write_text(shown)
    (error,) = check_config(path, {}).errors
    assert "trueup config show" in error.cause


def test_the_configuration_of_the_guide_is_valid(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    checked = check_config(path, {"TEAM_KEY": "k", "XIN_KEY": "x"})
    assert (checked.errors, checked.warnings) == ((), ())
