"""What looking at a model costs, against importing the libraries that would load it.

    python -m benchmarks.check [RUNS]

New processes in turn, medians. A check of the demo, with the facts of the installed transformers
read before (the first reading is told apart), over `import torch, transformers`; and a matrix of
20 models and 15 releases over 20 checks. Exit status 1 where a limit is passed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT, GOAL = 0.3, 0.2
FIRST_LIMIT_SECONDS = 3.0
MEMORY_LIMIT_MB = 80
MODELS = 20
CHECK = [sys.executable, "-m", "trueup.cli.main", "check"]
DEMO = [*CHECK, "demo", "--format", "json"]
IMPORT = [sys.executable, "-c", "import torch, transformers"]
# The child tells its own peak: that of all children would be that of the imports.
PEAK = (
    "import resource, sys; from trueup.cli.main import main; main(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def seconds(command: list[str], **variables: str) -> float:
    start = time.perf_counter()
    environment = {**os.environ, **variables}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start


def peak_mb() -> float:
    command = [sys.executable, "-c", PEAK, "check", "demo", "--format", "json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return int(told.split()[-1]) / 1024


def cold(runs: int) -> bool:
    for command in (DEMO, IMPORT):  # fills the symbol cache and the file cache
        seconds(command)
    checks, imports = zip(*((seconds(DEMO), seconds(IMPORT)) for _ in range(runs)), strict=True)
    ratios = [check / load for check, load in zip(checks, imports, strict=True)]
    ratio = statistics.median(checks) / statistics.median(imports)
    memory = peak_mb()
    print(f"check   {statistics.median(checks):.3f} s (median of {runs})")
    print(f"import  {statistics.median(imports):.3f} s")
    print(f"ratio   {ratio:.3f} (runs {min(ratios):.3f} to {max(ratios):.3f}), limit {LIMIT}")
    print(f"memory  {memory:.0f} MB, limit {MEMORY_LIMIT_MB}")
    return ratio <= LIMIT and memory <= MEMORY_LIMIT_MB


def first() -> bool:
    with tempfile.TemporaryDirectory() as home:
        seconds([*CHECK, "--help"], TRUEUP_HOME=home)
        took = seconds(DEMO, TRUEUP_HOME=home)
    print(f"first   {took:.3f} s with nothing kept, limit {FIRST_LIMIT_SECONDS}")
    return took <= FIRST_LIMIT_SECONDS


def matrix() -> bool:
    import trueup.cli.main

    demo = Path(trueup.cli.main.__file__).parents[1] / "demo_checkpoint"
    with tempfile.TemporaryDirectory() as folder:
        models = [str(Path(folder) / f"model-{number}") for number in range(MODELS)]
        for model in models:
            shutil.copytree(demo, model)
        whole = seconds([*CHECK, *models, "--matrix"])
        checks = sum(seconds([*CHECK, model]) for model in models)
    print(f"matrix  {whole:.2f} s for {MODELS} models and 15 releases")
    print(f"checks  {checks:.2f} s for {MODELS} checks, ratio {whole / checks:.2f}, limit 1")
    return whole <= checks


def main(runs: int = 7) -> int:
    return int(not all([cold(runs), first(), matrix()]))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
