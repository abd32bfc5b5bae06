"""`trueup serve` with a model's own code: what it is asked, and what it tells of its fixes."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import sentencepiece

from tests.adapt.fixes.record import TEXTS, TOKENS
from tests.checkpoints.llama_kinds import build_llama_kind
from tests.cli.test_serve import get, served
from trueup.cli.main import main

GOLDEN = Path(__file__).parents[1] / "adapt" / "fixes" / "golden" / "baichuan2-13b.npz"


@pytest.mark.slow
def test_a_repaired_model_is_served_as_it_answered_and_its_fixes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, model = tmp_path / "home", build_llama_kind("baichuan2-13b", tmp_path / "m")
    monkeypatch.setenv("TRUEUP_HOME", str(home))
    assert main(["trust", str(model), "--yes"]) == 0
    recorded = np.load(GOLDEN)
    vocabulary = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    expected = vocabulary.decode(recorded["greedy"][0, recorded["ids"].shape[1] :].tolist())
    wanted: dict[str, Any] = {
        "model": "m",
        "prompt": TEXTS[0],
        "max_tokens": TOKENS,
        "temperature": 0,
    }
    with served(home, str(model), "--route", "fixed", "--dtype", "float32") as (process, said):
        with openai.OpenAI(base_url=f"{said['url']}/v1", api_key="none", max_retries=0) as client:

            def ask(stream: bool) -> str:
                answer = client.completions.create(**wanted, stream=stream)
                chunks = answer if stream else [answer]
                return "".join(each.choices[0].text for each in chunks)

            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(ask, [False, True, False, True]))
            sampled = [
                client.completions.create(**{**wanted, "temperature": 1.0, "seed": 5})
                for _ in range(2)
            ]
        (row,) = get(f"{said['url']}/v1/models")["data"]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert set(answers) == {expected}
    assert sampled[0].choices == sampled[1].choices
    plan = row["trueup"]["plan"]
    assert (plan["route"], plan["consent"], row["trueup"]["state"]) == ("fixed", "given", "ready")
    assert "cache-tuples@1" in plan["fixes"]
    assert "ONE-AT-A-TIME" in [each["code"] for each in plan["caveats"]]
    for fix in plan["fixes"]:
        assert f" fix {fix} applied model=m" in log
