"""What was measured of an embedding model in another dtype than fp32: kept, read, put in plans.

The first load measures (`engines/deviation.py`) and writes the record into the plan's artifact
folder; from then on every plan of the same files, dtype and libraries shows it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from trueup.adapt.plan import Caveat, Deviation, Plan
from trueup.config.home import trueup_home
from trueup.environment.environment import Environment

RECORD_FILE = "deviation.json"
CAVEAT_CODE = "DEVIATION"
# Another release of any of these may compute other numbers.
LIBRARIES = ("torch", "transformers", "onnxruntime")
RECORD_VERSION = 2


def with_deviation(plan: Plan, environment: Environment) -> Plan:
    """The plan with its artifact folder and what was measured before, for dtypes beside fp32."""
    if plan.embedding is None or plan.dtype == "float32":
        return plan
    artifact = str(trueup_home() / "embeddings" / _key(plan, environment))
    return refreshed(replace(plan, embedding=replace(plan.embedding, artifact=artifact)))


def refreshed(plan: Plan) -> Plan:
    """The plan with what has been measured by now."""
    if plan.embedding is None or plan.embedding.artifact is None:
        return plan
    deviation = read_deviation(Path(plan.embedding.artifact))
    others = tuple(each for each in plan.caveats if each.code != CAVEAT_CODE)
    caveat = Caveat(code=CAVEAT_CODE, text=_words(plan.dtype, deviation))
    return replace(
        plan,
        embedding=replace(plan.embedding, deviation=deviation),
        caveats=(*others, caveat),
    )


def read_deviation(folder: Path) -> Deviation | None:
    """The record in an artifact folder, None where there is none that can be read."""
    try:
        shape = json.loads((folder / RECORD_FILE).read_bytes())
        if any(type(value) not in (int, float) for value in shape.values()):
            return None
        return Deviation(**shape)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def write_deviation(folder: Path, deviation: Deviation) -> None:
    """Keep a record, whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    half = folder / f"{RECORD_FILE}.{os.getpid()}"
    half.write_text(json.dumps(asdict(deviation)), encoding="utf-8")
    half.replace(folder / RECORD_FILE)


def _words(dtype: str, deviation: Deviation | None) -> str:
    if deviation is None:
        return f"how far {dtype} is from fp32 is measured at the first load, and shown here then"
    return (
        f"measured over {deviation.texts} texts, vectors in {dtype} have a cosine to those in fp32 "
        f"of {deviation.cosine_min:.6f} at least and {deviation.cosine_mean:.6f} in the mean; "
        f"numbers differ by {deviation.difference_max:.1e} at most"
    )


def _key(plan: Plan, environment: Environment) -> str:
    embedding = plan.embedding
    parts = [
        str(RECORD_VERSION),
        plan.model.digest,
        plan.dtype,
        plan.device,
        *((embedding.pooling, str(embedding.weights_digest)) if embedding else ()),
        *(f"{name} {environment.packages.get(name)}" for name in LIBRARIES),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
