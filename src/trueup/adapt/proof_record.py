"""Records of proofs: what they hold for, where they lie, and what a plan shows of them.

`proof/` measures and writes them. A record holds for exactly the bytes that it was made of: of
weights, small files, code, libraries, TrueUp's own loading code and the plan. Anything else is
another subject, for which nothing is proven.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trueup
from trueup.adapt.plan import Plan, Proof
from trueup.adapt.planned_files import checkpoint_of
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.content import weights_digest
from trueup.config.home import trueup_home
from trueup.environment.content import package_digest
from trueup.environment.environment import Environment
from trueup.environment.packages import read_environment
from trueup.errors import AdaptError, CheckpointError, TrueUpError
from trueup.trust.code import read_code

FOLDER = "proofs"
SCHEMA_VERSION = 1
SHOWN_CHANGES = 4
PROOF_VOID = "proof_void"
# What a loaded model is made of besides its weights.
READ_SUFFIXES = (".json", ".py", ".model", ".txt", ".jinja", ".tiktoken", ".vocab", ".bpe")
LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "tiktoken", "safetensors")
# Of a plan, what decides what is computed.
PLANNED = (
    "route",
    "family",
    "implementation",
    "kind",
    "dtype",
    "device",
    "engine",
    "fixes",
    "mapped",
)
# Of an isolated plan's environment, what says which it is.
ENVIRONMENT = ("is_ours", "lock", "python", "transformers", "torch")
# The code of ours that loads, computes, asks and judges.
OWN_SOURCES = ("adapt", "checkpoint", "engines", "proof")
# Of how hidden states become a vector, what is measured or where it is kept.
NOT_COMPUTED = ("artifact", "deviation", "weights_digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a proof is of: digests by name, and what each is over, in words for people."""

    digests: Mapping[str, str]

    @property
    def key(self) -> str:
        """`sha256:…` over all of it."""
        return digest_of(dict(self.digests))


def subject_of(plan: Plan, checkpoint: Checkpoint, environment: Environment) -> Subject:
    """What a proof of `plan` holds for. Reads the weights whole where their digest is not kept.

    Raises: CheckpointError where a file cannot be read.
    """
    shape = plan.as_dict()
    planned = {name: shape[name] for name in PLANNED}
    if plan.embedding is not None:
        embedding = shape["embedding"]
        planned |= {name: each for name, each in embedding.items() if name not in NOT_COMPUTED}
    isolated = plan.environment or {}
    digests = {
        "weights": weights_digest(checkpoint),
        "code": read_code(checkpoint).digest,
        "plan": digest_of(planned),
        "environment": digest_of({name: isolated.get(name) for name in ENVIRONMENT}),
        "python": str(isolated.get("python_version") or environment.python_version),
        "trueup": f"{trueup.__version__} {_own_sources()}",
    }
    packages = isolated.get("packages") or environment.packages
    if not isinstance(packages, Mapping):  # only asked for, not resolved yet
        packages = {}
    digests |= {name: str(packages.get(name)) for name in LIBRARIES}
    python = isolated.get("interpreter")
    there = environment if python is None else read_environment(Path(python))
    digests |= {f"files of {name}": _files_of(there, name) for name in LIBRARIES}
    for name in sorted(checkpoint.files):
        if name.endswith(READ_SUFFIXES):
            digests[f"file {name}"] = _file_digest(checkpoint.directory / name)
    return Subject(digests=digests)


def reference_digests(python: Path) -> dict[str, str]:
    """What a reference's interpreter is made of: versions, and digests of the packages' files."""
    there = read_environment(python)
    told = {"python": str(there.python_version)}
    for name in LIBRARIES:
        told |= {name: str(there.packages.get(name)), f"files of {name}": _files_of(there, name)}
    return told


def _changed_reference(record: Mapping[str, Any]) -> list[str]:
    """What is another one in the reference's environment; nothing where that is gone."""
    reference = record.get("reference") or {}
    before, python = reference.get("environment"), Path(reference.get("interpreter") or "")
    if not before or not python.is_file():
        return []
    try:
        now = reference_digests(python)
    except TrueUpError as error:
        return [f"python ({error.cause})"]
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _files_of(environment: Environment, name: str) -> str:
    return str(package_digest(environment, name))


def with_proof(plan: Plan, checkpoint: Checkpoint, environment: Environment) -> Plan:
    """The plan with what a record says of it; unproven where none holds.

    Where there is no record of this model, and none is damaged, nothing is read.
    """
    if plan.route == "refused":
        return plan
    records = list(records_of(plan.model.digest, plan.model.directory))
    if not records and all(map(read_record, _paths())):
        return plan
    is_missing = plan.environment is not None and plan.environment.get("interpreter") is None
    if is_missing and any(record.get("route") == plan.route for _, record in records):
        words = "whether an earlier record holds is not known: the environment is not built"
        return replace(plan, proof=Proof(reason=words))
    try:
        subject = subject_of(plan, checkpoint, environment)
    except CheckpointError:
        return plan
    for path, record in records:
        if record["subject"] == dict(subject.digests) and record["verdict"] in ("proven", "failed"):
            if changed := _changed_reference(record):
                void = _void_by([f"{name} of the reference" for name in changed])
                return replace(plan, proof=Proof(reason=void))
            reason = "; ".join(record["reasons"]) or None
            proof = Proof(
                state=record["verdict"], record=str(path), reason=reason, tried=record.get("tried")
            )
            return replace(plan, proof=proof)
    damaged = path_of(subject)
    if damaged.exists():
        reason = f"its record is not what was written, somebody changed it: `{damaged}`"
        return replace(plan, proof=Proof(reason=reason))
    return replace(plan, proof=Proof(reason=_void_words(records, subject)))


def check_proof(plan: Plan) -> None:
    """Refuse a plan that was proven when it was made, and of which that no longer holds.

    Raises: AdaptError with what changed since.
    """
    if plan.proof.state != "proven":
        return
    checkpoint = checkpoint_of(plan)
    now = with_proof(replace(plan, proof=Proof()), checkpoint, read_environment()).proof
    if now.state != "proven":
        raise AdaptError(
            f"the proof of `{plan.model.id}` no longer holds: {now.reason or 'its record is gone'}",
            where=plan.model.directory,
            hint=f"trueup verify {shlex.quote(plan.model.source)}, and start the server again",
            code=PROOF_VOID,
        )


def _void_words(records: list[tuple[Path, dict[str, Any]]], subject: Subject) -> str | None:
    """What changed since the nearest record of such a plan, else what else of it is proven."""
    nearest: list[str] = []
    others: list[str] = []
    for _, record in records:
        before = record["subject"]
        names = {*before, *subject.digests}
        changed = sorted(name for name in names if before.get(name) != subject.digests.get(name))
        # Another dtype or route is another plan, and no proof of this one.
        if "plan" not in changed and (not nearest or len(changed) < len(nearest)):
            nearest = changed
        if changed == ["plan"] and record["verdict"] == "proven":
            others.append(f"{record.get('dtype')} on the route {record.get('route')}")
    if not nearest:
        return f"proven is {', '.join(dict.fromkeys(others))}" if others else None
    return _void_by(nearest)


def _void_by(changed: list[str]) -> str:
    shown = ", ".join(f"`{name.removeprefix('file ')}`" for name in changed[:SHOWN_CHANGES])
    more = len(changed) - SHOWN_CHANGES
    rest = f" and {more} more" if more > 0 else ""
    return f"an earlier record is void, because of changes in {shown}{rest}"


def folder() -> Path:
    """Where records lie."""
    return trueup_home() / FOLDER


def records_of(digest: str, directory: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every whole record of a model, the newest first: of its files as they are, or its folder."""
    dated = [(path, record) for path in _paths() if (record := read_record(path)) is not None]
    dated.sort(key=lambda each: str(each[1].get("date")), reverse=True)
    for path, record in dated:
        model = record["model"]
        if digest == model.get("digest") or directory == model.get("directory"):
            yield path, record


def path_of(subject: Subject) -> Path:
    """Where the record of a subject lies."""
    return folder() / f"{subject.key.removeprefix('sha256:')[:32]}.json"


def _paths() -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder().glob("*.json"), key=lambda each: each.name)
    return []


def read_record(path: Path) -> dict[str, Any] | None:
    """A record, None for a file that is none or that somebody changed."""
    try:
        record = json.loads(path.read_bytes())
        digest = record.pop("digest")
    except (OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None
    wanted = {"subject": dict, "model": dict, "reasons": list, "verdict": str}
    if record.get("schema_version") != SCHEMA_VERSION or digest != digest_of(record):
        return None
    if not all(isinstance(record.get(name), kind) for name, kind in wanted.items()):
        return None
    return {**record, "digest": digest}


def write_record(record: Mapping[str, Any], subject: Subject) -> Path:
    """Keep a record in place of an older one of the same subject, whole or not at all.

    Raises: OSError where it cannot be kept.
    """
    path = path_of(subject)
    shape = {**record, "digest": digest_of(dict(record))}
    half = path.with_suffix(f".{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        half.write_text(json.dumps(shape, indent=1), encoding="utf-8")
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
    return path


def digest_of(shape: Any) -> str:
    """`sha256:…` over a JSON value, whatever the order of its keys."""
    return f"sha256:{hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()}"


def _file_digest(path: Path) -> str:
    try:
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise CheckpointError(
            f"`{path.name}` cannot be read: {error.strerror or error}", where=str(path)
        ) from error


@functools.cache
def _own_sources() -> str:
    package = Path(trueup.__file__).parent
    digest = hashlib.sha256()
    for name in OWN_SOURCES:
        for path in sorted((package / name).rglob("*.py")):
            digest.update(f"{path.relative_to(package)}\0".encode())
            digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"
