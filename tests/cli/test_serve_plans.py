from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cli.test_serve import settings as settings_of_words
from trueup.adapt.plan import Memory, Plan, PlannedModel, Proof
from trueup.cli.serve_plans import refusals
from trueup.config.settings import ModelSettings, RoleSettings, ServerSettings, Settings
from trueup.errors import AdaptError

PLAN = Plan(
    model=PlannedModel(id="a", source="org/a", revision=None, digest="sha256:0", directory="/a"),
    route="native",
    why=(),
    family=None,
    implementation="transformers.LlamaForCausalLM",
    kind="chat",
    dtype="bfloat16",
    device="cpu",
    memory=Memory(weights_bytes=0, kv_bytes_per_1k_tokens=0, overhead_bytes=0),
)
PROVEN = replace(PLAN, proof=Proof(state="proven", record="/records/1.json"))
A, B = ModelSettings(name="a", source="org/a"), ModelSettings(name="b", source="org/b")
STRICT = ServerSettings(require_proof=True)


def test_without_the_wish_an_unproven_model_is_served() -> None:
    assert refusals(Settings(models=(A,)), {"a": PLAN}) == {}


def test_a_proven_model_is_served_where_proof_is_required() -> None:
    assert refusals(Settings(models=(A,), server=STRICT), {"a": PROVEN}) == {}


@pytest.mark.parametrize(
    ("proof", "told"),
    [
        (Proof(), "its proof is `unproven`"),
        (
            Proof(reason="an earlier record is void, because of changes in `weights`"),
            "its proof is `unproven`: an earlier record is void, because of changes in `weights`",
        ),
        (
            Proof(state="failed", record="/records/1.json", reason="greedy: logits differ"),
            "its proof is `failed`: greedy: logits differ",
        ),
    ],
)
def test_a_model_that_is_not_proven_is_refused_with_the_reason_and_the_command(
    proof: Proof, told: str
) -> None:
    settings = Settings(models=(A,), server=STRICT)

    with pytest.raises(AdaptError) as met:
        refusals(settings, {"a": replace(PLAN, proof=proof)})

    assert met.value.cause.endswith(told)
    assert met.value.hint == ("trueup verify org/a --route native --dtype bfloat16 --device cpu")


def test_in_a_role_s_chain_a_proven_model_stands_in_for_it() -> None:
    role = RoleSettings(name="talk", chain=("a", "b"), place="c.yaml:9: roles.talk")
    settings = Settings(models=(A, B), server=STRICT, roles=(role,))

    refused = refusals(settings, {"a": PLAN, "b": PROVEN})

    assert list(refused) == ["a"]


def test_the_flag_requires_proof() -> None:
    assert not settings_of_words("demo").server.require_proof
    assert settings_of_words("demo", "--require-proof").server.require_proof
