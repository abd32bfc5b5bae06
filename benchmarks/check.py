"""Wall time of `trueup check demo` over that of `import torch, transformers`.

New processes in turn, medians, symbol cache present. Usage: `python benchmarks/check.py [RUNS]`.
Exit status 1 above the limit of 0.3; the goal is 0.2.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LIMIT, GOAL = 0.3, 0.2
CHECK = [sys.executable, "-m", "trueup.cli.main", "check", "demo", "--format", "json"]
IMPORT = [sys.executable, "-c", "import torch, transformers"]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(runs: int = 7) -> int:
    for command in (CHECK, IMPORT):  # fills the symbol cache and the file cache
        seconds(command)
    checks, imports = zip(*((seconds(CHECK), seconds(IMPORT)) for _ in range(runs)), strict=True)
    ratios = [check / load for check, load in zip(checks, imports, strict=True)]
    ratio = statistics.median(checks) / statistics.median(imports)
    print(f"check   {statistics.median(checks):.3f} s (median of {runs})")
    print(f"import  {statistics.median(imports):.3f} s")
    print(f"ratio   {ratio:.3f} (runs {min(ratios):.3f} to {max(ratios):.3f}), limit {LIMIT}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
