"""Answers by models' own code, run in another environment: `JOBS.json` in, JSON lines out.

A job is {"plan", "chats", "new_tokens"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from trueup.adapt.load import load_plan
from trueup.adapt.plan import Plan
from trueup.engines.generating import GeneratingEngine
from trueup.protocol.chat import parse_chat_request


def answers(job: dict[str, Any]) -> list[dict[str, Any]]:
    loaded = load_plan(Plan.from_dict(job["plan"]))
    engine = GeneratingEngine(loaded)
    found = []
    for messages in job["chats"]:
        request = parse_chat_request(
            {"model": "m", "messages": messages, "temperature": 0, "max_tokens": job["new_tokens"]}
        )
        (prompt,) = engine.prepare(request)
        steps = list(engine.generate(prompt, request, bool))
        tokens = [token for step in steps for token in step.token_ids]
        said = tokens[:-1] if tokens[-1] in loaded.stop_token_ids else tokens
        found.append(
            {
                "prompt": list(prompt.token_ids),
                "tokens": tokens,
                "text": "".join(step.text for step in steps),
                "decoded": loaded.tokenizer.decode(said, skip_special_tokens=True),
                "stops": sorted(loaded.stop_token_ids),
            }
        )
    return found


if __name__ == "__main__":
    for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        print(json.dumps(answers(each)))
