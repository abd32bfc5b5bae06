from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backends.far_end import FarEnd, answer
from tests.cli.test_serve import served
from tests.fakes import whole_answer
from trueup.adapt.plan import Proof
from trueup.backends.local import LocalBackend
from trueup.backends.refused import RefusedBackend
from trueup.cli.roles import check_roles, served_names
from trueup.cli.serve_backends import (
    first_look,
    lines_on,
    open_backends,
    served_backends,
    served_models,
)
from trueup.cli.serve_plans import plan_models, refusals
from trueup.config.settings import (
    BackendSettings,
    ModelSettings,
    RoleSettings,
    ServerSettings,
    Settings,
)
from trueup.errors import AdaptError, ConfigError
from trueup.pool.pool import Pool

DEMO = ModelSettings(name="demo", source="demo", dtype="float32")
XIN = BackendSettings(name="xin", url="http://127.0.0.1:9")


@pytest.fixture
def bad(tmp_path: Path) -> ModelSettings:
    """A model that no route runs."""
    config = {"model_type": "nobody", "architectures": ["NobodyModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return ModelSettings(name="bad", source=str(tmp_path), places={"": "c.yaml:3: models.bad"})


def chain(*names: str) -> RoleSettings:
    return RoleSettings(name="talk", chain=names, place="c.yaml:9: roles.talk")


@pytest.mark.parametrize("other", [{"models": (DEMO,)}, {"backends": (XIN,)}])
def test_a_refused_model_is_borne_where_somebody_stands_in_for_it(
    other: dict[str, Any], bad: ModelSettings
) -> None:
    name = "demo" if "models" in other else "xin"
    told = {**other, "models": (bad, *other.get("models", ())), "roles": (chain("bad", name),)}
    settings = Settings(**told)
    plans = plan_models(settings.models)
    refused = refusals(settings, plans)
    assert list(refused) == ["bad"]
    assert "cannot be run here" in refused["bad"].cause
    check_roles(settings, {each: plan.kind for each, plan in plans.items()}, refused)


@pytest.mark.parametrize("roles", [(), (chain("bad"),), (chain("demo"),)])
def test_a_refused_model_that_nobody_stands_in_for_ends_the_start(
    roles: tuple[RoleSettings, ...], bad: ModelSettings
) -> None:
    settings = Settings(models=(bad, DEMO), roles=roles)
    with pytest.raises(AdaptError, match="`bad` cannot be run here") as caught:
        refusals(settings, plan_models(settings.models))
    assert caught.value.where == "c.yaml:3: models.bad"


def test_models_that_are_all_refused_end_the_start(bad: ModelSettings, tmp_path: Path) -> None:
    worse = ModelSettings(name="worse", source=bad.source)
    settings = Settings(models=(bad, worse), roles=(chain("bad", "worse"),))
    with pytest.raises(AdaptError, match=r"(?s)`bad` cannot .*\n`worse` cannot"):
        refusals(settings, plan_models(settings.models))


def test_what_is_unproven_is_refused_and_the_rest_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    names = ("known", "unknown")
    models = tuple(ModelSettings(name=name, source="demo", dtype="float32") for name in names)
    settings = Settings(models=models, server=ServerSettings(require_proof=True))
    unproven = plan_models(settings.models)
    proven = Proof(state="proven", record="x.json", tried={"extent": "loaded"})
    plans = unproven | {"known": replace(unproven["known"], proof=proven)}

    refused = refusals(settings, plans)

    assert list(refused) == ["unknown"]
    command = "trueup verify demo --route native --dtype float32 --device cpu"
    assert refused["unknown"].hint == command
    with pytest.raises(AdaptError, match=r"(?s)`known` is not served.*`unknown` is not") as caught:
        refusals(settings, unproven)
    assert caught.value.hint == command


@pytest.mark.parametrize(
    ("proof", "told", "memory"),
    [
        (Proof(state="failed", reason="greedy: logits differ"), "`failed`: greedy", ""),
        (Proof(reason="an earlier record is void"), "`unproven`: an earlier record is void", ""),
        (
            Proof(state="proven", tried={"extent": "layer by layer"}),
            "layer by layer alone: the load itself was not asked",
            " --memory-gb 2.1",
        ),
    ],
)
def test_required_is_a_proof_that_holds_of_the_load_that_serves(
    proof: Proof, told: str, memory: str
) -> None:
    models = (ModelSettings(name="demo", source="demo", dtype="float32"),)
    settings = Settings(models=models, server=ServerSettings(require_proof=True))
    plans = {"demo": replace(plan_models(models)["demo"], proof=proof)}

    with pytest.raises(AdaptError, match=told) as caught:
        refusals(settings, plans)

    command = "trueup verify demo --route native --dtype float32 --device cpu"
    assert caught.value.hint == command + memory


async def test_models_and_servers_of_others_are_served_side_by_side(bad: ModelSettings) -> None:
    settings = Settings(models=(bad, DEMO), backends=(XIN,), roles=(chain("bad", "xin", "demo"),))
    plans = plan_models(settings.models)
    pool = Pool()
    backends = open_backends(settings)
    served = [
        *served_models(settings, plans, refusals(settings, plans), pool),
        *served_backends(settings, backends),
    ]
    assert [each.id for each in served] == ["bad", "demo", "xin"]
    refused, demo, xin = (each.backend for each in served)
    assert isinstance(refused, RefusedBackend)
    assert isinstance(demo, LocalBackend)
    assert demo.capabilities.is_exact  # float32
    assert xin is backends[0]
    (talk,) = served_names(settings, served)
    assert [each.id for each in await talk.in_turn()] == ["xin", "demo", "bad"]
    await backends[0].close()


async def test_a_model_in_bfloat16_is_not_called_exact() -> None:
    settings = Settings(models=(ModelSettings(name="demo", source="demo", dtype="bfloat16"),))
    plans = plan_models(settings.models)
    (served,) = served_models(settings, plans, {}, Pool())
    assert not served.backend.capabilities.is_exact


def test_a_model_cannot_have_a_backends_name() -> None:
    settings = Settings(models=(DEMO,), backends=(BackendSettings(name="demo", url="http://h"),))
    with pytest.raises(ConfigError, match="`demo` names a MODEL and a backend"):
        check_roles(settings, {"demo": "chat"})


def test_a_chain_does_not_mix_kinds_with_a_backend() -> None:
    vectors = BackendSettings(name="e", url="http://h", kind="embedding", place="c.yaml:5")
    settings = Settings(models=(DEMO,), backends=(vectors,), roles=(chain("demo", "e"),))
    with pytest.raises(ConfigError, match=r"`e`, which is embedding \(c.yaml:5\)"):
        check_roles(settings, {"demo": "chat"})


async def test_the_greeting_says_who_is_asked_and_who_cannot_be() -> None:
    models = json.dumps({"data": [{"id": "glm4"}]}).encode()
    far = FarEnd((answer(),), {"/v1/models": models})
    async with FarEnd(()).listening() as gone:
        pass
    async with far.listening():
        settings = Settings(
            backends=(
                BackendSettings(name="xin", url=far.url, preset="xinference"),
                BackendSettings(name="gone", url=gone.url),
            )
        )
        backends = open_backends(settings)
        await first_look(backends)
        lines = await lines_on(backends)
        for each in backends:
            await each.close()
    assert lines == [
        f"`xin` is {far.url}/v1 (Xinference, model `glm4`)",
        f"`gone` is {gone.url}/v1 (OpenAI-compatible)",
        f"warning: `gone` at {gone.url}/v1 cannot be reached: connection refused",
    ]


async def test_a_server_fronts_another_without_a_model_of_its_own(tmp_path: Path) -> None:
    models = json.dumps({"data": [{"id": "glm4"}]}).encode()
    far = FarEnd((answer(whole_answer("hi"), head=b"content-type: application/json\r\n"),))
    far.looks = {"/v1/models": models}

    def ask() -> Any:
        with served(tmp_path, "--backend", f"xin={far.url},preset=vllm") as (process, said):
            question = {"model": "xin", "messages": [{"role": "user", "content": "?"}]}
            request = urllib.request.Request(
                f"{said['url']}/v1/chat/completions",
                json.dumps(question).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answered = json.load(response), response.headers["X-TrueUp-Backend"]
            maps = Path(f"/proc/{process.pid}/maps")
            loaded = maps.read_text() if sys.platform == "linux" else ""
            return said["models"], *answered, loaded

    async with far.listening():
        names, body, backend, loaded = await asyncio.to_thread(ask)
    assert names == ["xin"]
    assert body["choices"][0]["message"]["content"] == "hi"
    assert backend == "xin"
    assert json.loads(far.asked[0].body)["model"] == "glm4"
    assert "torch" not in loaded
