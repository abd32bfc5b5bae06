"""Keys of config.json that run code: found where they do, silent where they are harmless."""

from typing import Any

import pytest

from tests.doctor.facts import checkpoint, environment
from trueup.checkpoint.dangerous_keys import dangerous_keys
from trueup.doctor.examine import examine

EVERY = ("native", "fixed", "isolated")
KERNEL = {"_attn_implementation_internal": "org/kernel"}
LIGHTGLUE = {"model_type": "lightglue", "trust_remote_code": True}
BACKBONE = {"backbone": "org/name", "backbone_kwargs": {"trust_remote_code": True}}


def found(config: dict[str, Any], version: str) -> list[tuple[str, str | None]]:
    facts = checkpoint(config={"model_type": "llama", **config})
    return [
        (each.code, each.where.key)
        for each in examine(facts, environment(version))
        if each.code.startswith("SAFE")
    ]


@pytest.mark.parametrize(
    ("config", "before", "first", "last", "after", "code"),
    [
        (KERNEL, "4.53.3", "4.54.0", "5.2.9", "5.3.0", "SAFE102"),
        (LIGHTGLUE, None, "4.54.0", "5.4.0", "5.5.0", "SAFE103"),
        (BACKBONE, "4.41.2", "4.42.0", "5.0.9", "5.1.0", "SAFE104"),
    ],
)
def test_a_key_is_found_on_both_sides_of_the_releases_that_obey_it(
    config: dict[str, Any], before: str | None, first: str, last: str, after: str, code: str
) -> None:
    for version in (first, last):
        assert code in [each for each, _ in found(config, version)]
    for version in (before, after):
        assert version is None or code not in [each for each, _ in found(config, version)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"_attn_implementation": "org/kernel:attend"}, ("SAFE102", "_attn_implementation")),
        ({"a": KERNEL}, ("SAFE102", "a._attn_implementation_internal")),
        ({"a": [KERNEL]}, ("SAFE102", "a.0._attn_implementation_internal")),
        ({"_attn_implementation": {"text_config": "o/k"}}, ("SAFE102", "_attn_implementation")),
        ({"_attn_implementation": "kernels-community/../o/k"}, ("SAFE102", "_attn_implementation")),
        ({"_attn_implementation": "kernels-community/a|o/k"}, ("SAFE102", "_attn_implementation")),
        ({"text": {"trust_remote_code": True}}, ("SAFE103", "text.trust_remote_code")),
        ({"parts": [1, LIGHTGLUE]}, ("SAFE103", "parts.1.trust_remote_code")),
        ({"v": BACKBONE}, ("SAFE104", "v.backbone_kwargs.trust_remote_code")),
    ],
)  # fmt: skip
def test_keys_that_run_code_are_found_at_any_depth(
    config: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert found(config, "4.57.6") == [expected]


def test_a_key_that_runs_code_closes_every_route() -> None:
    facts = checkpoint(config={"model_type": "llama", **KERNEL, "a": BACKBONE})
    closing = [each.blocks for each in examine(facts, environment("4.57.6"))]
    assert closing == [EVERY, EVERY]


@pytest.mark.parametrize(
    "config",
    [
        {"_attn_implementation_internal": "flash_attention_2"},
        {"_attn_implementation": "sdpa", "text_config": {"_attn_implementation": None}},
        {"_attn_implementation": "kernels-community/vllm-flash-attn3"},
        {"_attn_implementation": "paged|kernels-community/flash-attn2@v1:attend"},
        {"trust_remote_code": True},
        {"text_config": {"trust_remote_code": False}},
        {"model_type": "lightglue", "trust_remote_code": False},
        {"backbone_kwargs": {"out_indices": [1], "trust_remote_code": None}},
    ],
)
def test_what_honest_checkpoints_carry_is_no_finding(config: dict[str, Any]) -> None:
    assert found(config, "4.57.6") == []


def test_a_config_nested_as_deep_as_json_allows_is_searched() -> None:
    config: dict[str, Any] = dict(KERNEL)
    for _ in range(5000):
        config = {"a": config}
    (only,) = dangerous_keys(config)
    assert only.place.endswith("a._attn_implementation_internal")
    while config:  # so that its end does not recurse
        config = config.pop("a", {})
