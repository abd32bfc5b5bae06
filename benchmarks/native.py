"""Tokens per CPU second: a native model here over its remote code on transformers 4.41.2.

`python -m benchmarks.native [--reference-python PATH]`: same weights, fp32, one thread, greedy, one
process a side; the sides take turns and every pair of turns gives one ratio. Exit status 1 when
the median is not above 1.1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

WANTED_RATIO = 1.1
SIZES: dict[str, Any] = {
    "layers": 8,
    "hidden": 1024,
    "heads": 8,
    "kv_channels": 128,
    "ffn_hidden_size": 3424,
}
# As published: remote code builds its rope table for all of them on every step.
SEQ_LENGTH = {"chatglm2": 32768, "chatglm3": 8192, "glm4": 131072}
PROMPT = [641, 643, *range(300, 330)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--reference-python", type=Path, help="interpreter with transformers 4.41.2"
    )
    parser.add_argument("--family", default="chatglm2", choices=list(SEQ_LENGTH))
    parser.add_argument("--seq-length", type=int, help="of config.json; default: as published")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--child", choices=["native", "remote"], help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        serve_turns(arguments.child, arguments.checkpoint, arguments.tokens)
        return 0
    return compare(arguments)


def compare(arguments: argparse.Namespace) -> int:
    from tests.checkpoints.build import build_checkpoint
    from tests.environments import python_for

    reference = arguments.reference_python or python_for("reference-4.41")
    with tempfile.TemporaryDirectory() as home:
        checkpoint = build_checkpoint(arguments.family, Path(home) / "model", **sizes_of(arguments))
        options = ["--checkpoint", str(checkpoint), "--tokens", str(arguments.tokens)]
        native = start(sys.executable, "native", options, home)
        remote = start(reference, "remote", options, home)
        try:
            turns = [(take_turn(native), take_turn(remote)) for _ in range(arguments.pairs + 1)]
        finally:
            for child in (native, remote):
                child.kill()
                child.wait()
    return report(arguments, turns[1:])  # the first pair warms both sides up


def sizes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    return SIZES | {"seq_length": arguments.seq_length or SEQ_LENGTH[arguments.family]}


def report(arguments: argparse.Namespace, turns: list[tuple[Any, Any]]) -> int:
    speeds = [
        (arguments.tokens / native["cpu_seconds"], arguments.tokens / remote["cpu_seconds"])
        for native, remote in turns
    ]
    ratio = statistics.median(native / remote for native, remote in speeds)
    native, remote = turns[0]
    command = [Path(sys.executable).name, "-m", "benchmarks.native", *sys.argv[1:]]
    print(f"command  {' '.join(command)}")
    print(f"model    {arguments.family}, {sizes_of(arguments)}, float32, one thread")
    print(
        f"machine  {platform.processor() or platform.machine()}, Python {platform.python_version()}"
    )
    for side, row, column in (("native", native, 0), ("remote", remote, 1)):
        middle = statistics.median(pair[column] for pair in speeds)
        print(f"{side}   {middle:6.2f} tokens per CPU second   {row['versions']}")
    print(f"tokens   {'equal' if native['tokens'] == remote['tokens'] else 'DIFFERENT'}")
    print(f"ratio    {ratio:.3f} (median of {len(speeds)} pairs, wanted above {WANTED_RATIO})")
    print(f"pairs    {' '.join(f'{native / remote:.3f}' for native, remote in speeds)}")
    return 0 if ratio > WANTED_RATIO and native["tokens"] == remote["tokens"] else 1


def start(python: Path | str, side: str, options: list[str], home: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": f"{home}/modules-{side}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [python, __file__, "--child", side, *options],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def take_turn(child: subprocess.Popen[str]) -> Any:
    _pipe(child.stdin).write("go\n")
    _pipe(child.stdin).flush()
    line = _pipe(child.stdout).readline()
    if not line:
        raise SystemExit("one side ended without an answer: its error stands above")
    return json.loads(line)


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("the child was started without pipes")
    return stream


def serve_turns(side: str, checkpoint: str, tokens: int) -> None:
    """Answers every line on stdin with one measured generation, as JSON on stdout."""
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    generate = (native_side if side == "native" else remote_side)(checkpoint, tokens)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    for _ in sys.stdin:
        started = time.process_time()
        generated = generate()
        spent = time.process_time() - started
        print(
            json.dumps({"cpu_seconds": spent, "tokens": generated, "versions": versions}),
            flush=True,
        )


def native_side(checkpoint: str, tokens: int) -> Callable[[], list[int]]:
    """What a worker does for a request: our engine's loop, detokenizing included."""
    from trueup.adapt.load import load_plan
    from trueup.adapt.planning import Wishes, plan_model
    from trueup.engines.chat import TorchChatEngine
    from trueup.protocol.completion import parse_completion_request

    wishes = Wishes(route="native", dtype="float32", device="cpu")
    loaded = load_plan(plan_model(checkpoint, wishes))
    engine = TorchChatEngine(replace(loaded, stop_token_ids=()))  # equal lengths
    request = parse_completion_request(
        {"model": "m", "prompt": PROMPT, "max_tokens": tokens, "temperature": 0}
    )

    def generate() -> list[int]:
        (prompt,) = engine.prepare(request)
        steps = engine.generate(prompt, request, lambda: False)
        return [token for step in steps for token in step.token_ids]

    return generate


def remote_side(checkpoint: str, tokens: int) -> Callable[[], list[int]]:
    """The model's own code under `generate`."""
    import torch
    from transformers import AutoModel, GenerationConfig

    model = AutoModel.from_pretrained(
        checkpoint, trust_remote_code=True, torch_dtype=torch.float32
    ).eval()
    model.generation_config = GenerationConfig(pad_token_id=0)  # no stop tokens: equal lengths
    settings = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    inputs = {
        "input_ids": torch.tensor([PROMPT]),
        "attention_mask": torch.ones(1, len(PROMPT)).long(),
    }

    def generate() -> list[int]:
        with torch.no_grad():
            generated = model.generate(**inputs, generation_config=settings)
        return generated[0, len(PROMPT) :].tolist()

    return generate


if __name__ == "__main__":
    sys.exit(main())
