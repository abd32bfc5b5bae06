"""How often a check names the right cause: labels from real runs, scored mechanically.

`python -m benchmarks.accuracy MODELS --environments PYTHON…` runs each stage of each model in
each environment on small random weights, asks `trueup check` for each, and scores: right is the
same stage, exception type and deepest frame in the model's own files. Stages behind a failure
are not scored. The models' own code runs: bring only what you trust. docs/accuracy.md says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import label, predict, report, score


def main() -> int:
    """Label, predict, score, report; 1 where a goal is missed on the half to report."""
    arguments = _arguments()
    models = label.models_in(arguments.models)
    if not models:
        print(f"no model directories in `{arguments.models}`", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="accuracy-") as scratch:
        work = arguments.work or Path(scratch)
        labels = _labels(arguments.labels, models, arguments.environments, work)
        if arguments.label_only:
            return 0
        if arguments.half:
            labels = {**labels, "models": _of_half(labels["models"], arguments.half)}
        rows, silent = _scored(labels, arguments.models, work)
    notes = json.loads(arguments.notes.read_text("utf-8")) if arguments.notes else {}
    text = report.markdown(rows, labels, silent, notes)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(rows, labels), indent=2), "utf-8")
    print(text)
    return _status(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("models", type=Path, help="a folder of model directories")
    parser.add_argument("--environments", nargs="+", default=[], help="Python interpreters")
    parser.add_argument("--labels", type=Path, help="read them here if the file is there, or write")
    parser.add_argument("--label-only", action="store_true", help="stop when they are written")
    parser.add_argument("--work", type=Path, help="keep the copies with their weights here")
    parser.add_argument("--half", choices=("tune", "report"), help="score this one only")
    parser.add_argument("--notes", type=Path, help="JSON: `model environment stage` -> why wrong")
    parser.add_argument("--markdown", type=Path, help="write the report here as well")
    parser.add_argument("--json", type=Path, help="write figures and rows here")
    return parser.parse_args()


def _labels(
    path: Path | None, models: Sequence[Path], pythons: Sequence[str], work: Path
) -> Mapping[str, Any]:
    """Frozen labels where there are some, else new ones; a frozen one is never made anew."""
    if path is not None and path.is_file():
        frozen: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for model in models:
            held = frozen["models"].get(model.name)
            if held is not None and held["digest"] != label.digest(model):
                raise SystemExit(
                    f"`{model}` is not what was labelled in `{path}`: remove its label"
                )
        new = [model for model in models if model.name not in frozen["models"]]
        if not new or not pythons:
            return frozen
    else:
        frozen, new = {"models": {}}, list(models)
    made = label.labels(new, pythons, work)
    made["models"] = {**frozen["models"], **made["models"]}
    if path is not None:
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return made


def _of_half(models: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    return {name: one for name, one in models.items() if score.half(one["family"]) == wanted}


def _scored(
    labels: Mapping[str, Any], folder: Path, work: Path
) -> tuple[list[score.Row], list[Mapping[str, Any]]]:
    rows: list[score.Row] = []
    silent: list[Mapping[str, Any]] = []
    for name, model in labels["models"].items():
        copy = work / name  # with the weights, where it was made in this run or kept
        directory = copy if copy.is_dir() else folder / name
        for environment, stages in model["environments"].items():
            print(f"check {environment} {name}", file=sys.stderr)
            found = predict.findings(directory, labels["environments"][environment]["python"])
            said = predict.causes(found, directory)
            rows += score.rows(name, model["family"], environment, stages, said, directory)
            result = stages.get("silent", {}).get("result", {})
            if result.get("is_silent"):
                silent.append(
                    {
                        "model": name,
                        "environment": environment,
                        "difference": result["difference"],
                        "buffers": len(result["buffers"]),
                        "codes": _naming(found, result["buffers"]),
                    }
                )
    return rows, silent


def _naming(found: predict.Findings, buffers: Sequence[str]) -> list[str]:
    """The codes of the findings, whatever their severity, that name one of the buffers."""
    names = {name.rpartition(".")[2] for name in buffers}
    return sorted({one["code"] for one in found if any(name in one["cause"] for name in names)})


def _status(rows: Sequence[score.Row]) -> int:
    own = score.figures([row for row in rows if score.half(row.family) == "report"])
    precision, recall = own.precision[0], own.recall[0]
    return int(not (precision >= report.GOAL_PRECISION and recall >= report.GOAL_RECALL))


if __name__ == "__main__":
    sys.exit(main())
