"""Why a directory is not the Kronos model that it was given as: cause, place and next step.

Pure: facts of a Checkpoint in, what can be loaded of it out, else a CheckpointError. Each question
is asked before the next would be answered wrongly: whole files, then the class of the weights, then
config.json, then every tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from trueup.checkpoint.checkpoint import Checkpoint, TensorInfo
from trueup.checkpoint.layouts import kronos
from trueup.checkpoint.layouts.layout import Evidence, Layout
from trueup.errors import CheckpointError
from trueup.kronos.config import Config, missing_arguments, read_config
from trueup.kronos.hints import counted, fetch_again, listing
from trueup.kronos.part import LANGUAGE_MODEL, PARTS, TOKENIZER, Part

# A pickle of torch before 1.6 cannot be mapped, and is read all the same.
HARMLESS = ("old_layout",)
SIGNS_OF = {LANGUAGE_MODEL.layout: kronos.MODEL_SIGNS, TOKENIZER.layout: kronos.TOKENIZER_SIGNS}
SIGNS = (*kronos.MODEL_SIGNS, *kronos.TOKENIZER_SIGNS)
FLOATING = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A directory that one class can be made of.

    `prefix` stands before every name in the files. `notes` say what was not as published, and what
    was done about it.
    """

    checkpoint: Checkpoint
    part: Part
    config: Config
    prefix: str = ""
    notes: tuple[str, ...] = ()


def readable(checkpoint: Checkpoint, part: Part) -> Readable:
    """What `part` can be made of.

    1. The weight files are there and whole. 2. Their tensors are those of the class. 3. config.json
    holds its arguments, or the weights tell them.

    Raises: CheckpointError.
    """
    _refuse_absent(checkpoint, part)  # 1
    _refuse_broken(checkpoint, part)
    prefix, plain = _plain_names(checkpoint, part)  # 2
    _refuse_other_class(plain, part)
    notes = []
    if prefix:
        notes.append(
            f"the names of all {len(plain.weights.tensors)} tensors in `{checkpoint.directory}` "
            f"begin with `{prefix}`, as training leaves them: it was taken off"
        )
    config = read_config(plain, part)  # 3
    return Readable(
        checkpoint=checkpoint,
        part=part,
        config=config,
        prefix=prefix,
        notes=(*notes, *config.notes),
    )


def account(
    found: Readable,
    wanted: Mapping[str, tuple[int, ...]],
    optional: Collection[str],
) -> None:
    """Compare the tensors of the files with `wanted`, those of the class, by name and shape.

    Those in `optional` are computed by the class itself and may be absent.

    Raises: CheckpointError that names those too few, too many, or of another shape or kind.
    """
    checkpoint = found.checkpoint
    tensors = {
        name.removeprefix(found.prefix): info for name, info in checkpoint.weights.tensors.items()
    }
    where, name = str(checkpoint.directory), found.part.class_name
    missing = [each for each in wanted if each not in tensors and each not in optional]
    if missing:
        raise CheckpointError(
            f"the weights lack {counted(missing)} of `{name}`, which would stay random: "
            f"{listing(missing)}",
            where=where,
            hint=fetch_again(checkpoint, found.part),
        )
    extra = [each for each in tensors if each not in wanted]
    if extra:
        raise CheckpointError(
            f"the weights hold {counted(extra)} that `{name}` does not have: {listing(extra)}",
            where=where,
            hint="the model was changed before it was saved; load it with the code that did, or "
            f"take the published one: {fetch_again(checkpoint, found.part)}",
        )
    for each, shape in wanted.items():
        info = tensors.get(each)
        if info is not None and info.shape != shape:
            raise CheckpointError(
                f"the tensor `{each}` has the shape {list(info.shape)}, expected {list(shape)}",
                where=str(checkpoint.directory / info.file),
                hint=fetch_again(checkpoint, found.part),
            )
        if info is not None and each not in optional and info.dtype not in FLOATING:
            raise CheckpointError(
                f"the tensor `{each}` is of {info.dtype}, expected one of {', '.join(FLOATING)}",
                where=str(checkpoint.directory / info.file),
                hint="quantised copies are not read: take the published weights",
            )


def _refuse_absent(checkpoint: Checkpoint, part: Part) -> None:
    weights = checkpoint.weights
    if weights.format in ("safetensors", "pickle"):
        return
    others = [each for each in PARTS if not missing_arguments(each, checkpoint.config)]
    has = f" and its config.json is that of `{others[0].class_name}`" if others else ""
    found = f"only {listing(weights.files)}" if weights.files else "no weight file"
    raise CheckpointError(
        f"the directory has {found}, expected model.safetensors or pytorch_model.bin{has}",
        where=str(checkpoint.directory),
        hint=fetch_again(checkpoint, others[0] if others else part),
    )


def _refuse_broken(checkpoint: Checkpoint, part: Part) -> None:
    names = {*checkpoint.weights.files, "model.safetensors.index.json"}
    names |= {f"{each}.index.json" for each in ("model.safetensors", "pytorch_model.bin")}
    problem = next(
        (each for each in checkpoint.problems if each.path in names and each.kind not in HARMLESS),
        None,
    )
    if problem is None:
        return
    again = fetch_again(checkpoint, part)
    words = f"`{problem.path}`: {problem.detail}"
    hints = {
        "lfs_pointer": f"`git lfs pull` there fetches the content, else: {again}",
        "html": "something on the way answered instead of the hub: sign in to the network or "
        f"correct the proxy, then: {again}",
        "unsafe_pickle": "nothing of it was run; take a copy with model.safetensors",
        "odd_pickle": "take a copy with model.safetensors",
        "unreadable": "look at its permissions, and at where it links to",
    }
    if problem.kind == "truncated":
        words = f"`{problem.path}` is cut short: {problem.detail}"
    raise CheckpointError(
        words,
        where=str(checkpoint.directory / problem.path),
        hint=hints.get(problem.kind, again),
    )


def _layout_of(names: Mapping[str, TensorInfo]) -> Layout | None:
    evidence = Evidence(tensors=names)
    return next((each for each in kronos.LAYOUTS if each.recognise(evidence)), None)


def _plain_names(checkpoint: Checkpoint, part: Part) -> tuple[str, Checkpoint]:
    """What stands before every name, and the checkpoint without it."""
    tensors = checkpoint.weights.tensors
    if _layout_of(tensors) is not None:
        return "", checkpoint
    signed = next((each for each in map(_prefix, tensors) if each is not None), None)
    if not signed:
        raise _not_kronos(checkpoint, part)
    prefix = signed
    odd = [name for name in tensors if not name.startswith(prefix)]
    plain = {name.removeprefix(prefix): info for name, info in tensors.items()}
    if odd or _layout_of(plain) is None:
        raise CheckpointError(
            f"{len(tensors) - len(odd)} of {len(tensors)} tensors begin with `{prefix}`, the "
            f"others do not: {listing(odd)}"
            if odd
            else f"the tensors begin with `{prefix}` and some of {part.title} are not among them",
            where=str(checkpoint.directory),
            hint=fetch_again(checkpoint, part),
        )
    return prefix, replace(checkpoint, weights=replace(checkpoint.weights, tensors=plain))


def _prefix(name: str) -> str | None:
    """What stands before a name that only Kronos has; None where it is none of those."""
    for sign in SIGNS:
        if name == sign or name.endswith(f".{sign}"):
            return name.removesuffix(sign)
    return None


def _not_kronos(checkpoint: Checkpoint, part: Part) -> CheckpointError:
    tensors = checkpoint.weights.tensors
    # Half a set of signs: a model of Kronos with tensors lost.
    owner = next(
        (each for each in (part, *PARTS) if any(name in tensors for name in SIGNS_OF[each.layout])),
        None,
    )
    if owner is not None:
        missing = [name for name in SIGNS_OF[owner.layout] if name not in tensors]
        cause = f"the weights lack {listing(missing)} of `{owner.class_name}`"
    elif tensors:
        return CheckpointError(
            f"this is another model: its weights are not {part.title}'s, they hold "
            f"{listing(list(tensors))}",
            where=str(checkpoint.directory),
            hint=f"name {part.title}, such as `{part.example}`",
        )
    else:
        cause = (
            f"`{checkpoint.weights.files[0]}` holds no plain table of tensors by name, as "
            "`state_dict()` gives it"
        )
    return CheckpointError(
        cause, where=str(checkpoint.directory), hint=fetch_again(checkpoint, part)
    )


def _refuse_other_class(plain: Checkpoint, part: Part) -> None:
    layout = _layout_of(plain.weights.tensors)
    if layout is None or layout.name == part.layout:
        return
    other = next(each for each in PARTS if each.layout == layout.name)
    raise CheckpointError(
        f"the directory holds {other.title}, expected {part.title[2:]}",
        where=str(plain.directory),
        hint=f"`{other.class_name}.from_pretrained` loads this one, `--"
        f"{'model' if other is LANGUAGE_MODEL else 'tokenizer'}` takes it; {part.title} is "
        f"another directory, such as `{part.example}`",
    )
