"""What could run a checkpoint natively: a mapped family, or a class of the library. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import Version

from trueup.adapt import library
from trueup.adapt.embedding import CAUSAL_ENDINGS, EmbeddingFacts, embedding_facts
from trueup.adapt.embedding import implementation as base_class
from trueup.adapt.native import NATIVE
from trueup.adapt.native.family import NativeFamily, Refusal
from trueup.adapt.native.layout_names import name_refusals
from trueup.adapt.plan import Caveat, Kind
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.modality import lacks_text_vector, read_instead_of_text
from trueup.environment.environment import OLDEST_TRANSFORMERS, Environment
from trueup.environment.model_types import presence
from trueup.environment.symbols.symbols import versions

# Those that TrueUp implements itself.
KRONOS_CLASSES = ("Kronos", "KronosTokenizer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the native route would run, and every reason against it."""

    family: str | None = None
    implementation: str | None = None
    kind: Kind = "chat"
    why: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    against: tuple[str, ...] = ()
    embedding: EmbeddingFacts | None = None


def candidate_of(
    checkpoint: Checkpoint,
    environment: Environment,
    dtype: str,
    wishes: Wishes,
    *,
    is_embedding: bool,
) -> Candidate:
    """The one way in which the checkpoint could run natively, or why there is none."""
    version = environment.transformers
    if version is None:
        return Candidate(
            against=(f"transformers is not installed for `{environment.python}`",),
        )
    family = next((each for each in NATIVE if each.recognise(checkpoint)), None)
    if version < OLDEST_TRANSFORMERS:
        reason = (
            f"transformers {version} is older than {OLDEST_TRANSFORMERS}, the oldest that TrueUp "
            "runs models natively on"
        )
        return Candidate(family=_family_on_newer(checkpoint, family), against=(reason,))
    if family is not None and is_embedding:
        reason = f"{family.title} generates text; `kind: embedding` was asked for"
        return Candidate(family=family.name, kind="embedding", against=(reason,))
    if family is not None:
        return _mapped(family, checkpoint, environment, version, dtype)
    has_class = library.is_implemented(checkpoint.model_type, environment)
    told = "no"
    if environment.is_assumed and checkpoint.model_type is not None:
        told = library.assumed_presence(checkpoint, version)
    if has_class or told == "yes":
        other = read_instead_of_text(checkpoint)
        if other is not None:
            reason = (
                f"`{checkpoint.model_type}` takes {other}, not text, and TrueUp runs text models"
            )
            kind: Kind = "embedding" if is_embedding else "completion"
            return Candidate(family=checkpoint.model_type, kind=kind, against=(reason,))
        if is_embedding:
            return _encoder(checkpoint, environment, version, wishes)
        return _library(checkpoint, environment, version)
    if told == "unknown":
        return Candidate(against=(_untold_words(str(checkpoint.model_type), version),))
    return Candidate(against=(_unknown_words(checkpoint, version),))


def _family_on_newer(checkpoint: Checkpoint, family: NativeFamily | None) -> str | None:
    """What a newer transformers would run the checkpoint as, None where it would not."""
    if family is not None:
        return family.name
    newest = versions()[-1:]
    has_class = newest and library.assumed_presence(checkpoint, newest[0]) == "yes"
    return checkpoint.model_type if has_class else None


def _mapped(
    family: NativeFamily,
    checkpoint: Checkpoint,
    environment: Environment,
    version: Version,
    dtype: str,
) -> Candidate:
    refusals = family.refusals(checkpoint)
    if not refusals and family.implementation is not None:
        refusals = name_refusals(family, checkpoint, version.major)
    against = _refusal_words(family.title, refusals)
    if against or family.implementation is None:
        return Candidate(family=family.name, kind=family.kind, against=against)
    has_class = library.is_implemented(family.model_type, environment)
    if not has_class and not environment.is_assumed:
        reason = f"transformers {version} has no `{family.implementation}`"
        return Candidate(family=family.name, kind=family.kind, against=(reason,))
    why = (
        f"{family.title}'s architecture is one that transformers {version} implements itself, as "
        f"`{family.implementation}`: config and weight names are mapped while loading",
        "none of the model's own code runs",
    )
    return Candidate(
        family=family.name,
        implementation=f"transformers.{family.implementation}",
        kind=family.kind,
        why=why,
        mapped=family.describe(checkpoint),
        caveats=family.caveats(checkpoint, dtype),
    )


def _library(checkpoint: Checkpoint, environment: Environment, version: Version) -> Candidate:
    model_type = checkpoint.model_type or ""
    implementation = library.implementation(checkpoint, environment)
    if checkpoint.config.get("is_encoder_decoder") is True:
        name = checkpoint.architectures[0] if checkpoint.architectures else model_type
        reason = (
            f"`{name}` is a sequence-to-sequence model, of an encoder and a decoder; TrueUp "
            "generates text with causal language models"
        )
        return Candidate(family=model_type, kind="completion", against=(reason,))
    if implementation is None:
        reason = (
            f"`{model_type}` has no causal language model in transformers {version}, the kind "
            "that TrueUp generates text with; an embedding model is served with `kind: embedding`"
        )
        return Candidate(family=model_type, against=(reason,))
    headless = _named_without_head(checkpoint)
    if headless is not None:
        reason = (
            f"config.json names `{headless}`, which has no language model head to generate with"
        )
        return Candidate(family=model_type, against=(reason,))
    return Candidate(
        family=model_type,
        implementation=f"transformers.{implementation}",
        kind=library.kind(checkpoint),
        why=_library_words(checkpoint, environment, version, implementation),
        caveats=library.caveats(checkpoint),
        against=_refusal_words(model_type, library.refusals(checkpoint)),
    )


def _named_without_head(checkpoint: Checkpoint) -> str | None:
    """The class that the checkpoint was saved from, where its files hold no head."""
    name = checkpoint.architectures[0] if checkpoint.architectures else ""
    has_head = name.endswith(CAUSAL_ENDINGS) or not name.endswith("Model")
    return None if has_head or checkpoint.auto_map else name


def _encoder(
    checkpoint: Checkpoint, environment: Environment, version: Version, wishes: Wishes
) -> Candidate:
    model_type = checkpoint.model_type or ""
    implementation = base_class(checkpoint, environment)
    if lacks_text_vector(checkpoint):
        reason = (
            f"`{implementation or model_type}` makes no vector of a text alone, which embedding "
            "needs"
        )
        return Candidate(family=model_type, kind="embedding", against=(reason,))
    if implementation is None:
        reason = f"transformers {version} has no class of `{model_type}` without a head"
        return Candidate(family=model_type, kind="embedding", against=(reason,))
    facts = embedding_facts(checkpoint, wishes)
    refusals = (*library.refusals(checkpoint), *facts.refusals)
    return Candidate(
        family=model_type,
        implementation=f"transformers.{implementation}",
        kind="embedding",
        why=(*_library_words(checkpoint, environment, version, implementation), *facts.why),
        caveats=facts.caveats,
        against=_refusal_words(model_type, refusals),
        embedding=facts,
    )


def _library_words(
    checkpoint: Checkpoint, environment: Environment, version: Version, implementation: str
) -> tuple[str, ...]:
    model_type = checkpoint.model_type or ""
    told = presence(model_type, version, checkpoint.architectures)
    if environment.is_assumed and told != "yes":
        saved_by = checkpoint.config.get("transformers_version")
        return (
            f"the checkpoint was saved without code of its own by transformers {saved_by}, so "
            f"{version} should have `{implementation}`",
        )
    why = f"transformers {version} implements `{model_type}` itself, as `{implementation}`"
    return (why, "none of the model's own code runs") if checkpoint.auto_map else (why,)


def _refusal_words(title: str, refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    return tuple(
        f"{title} with `{each.key}` in config.json: {each.reason}"
        if each.key
        else f"{title}: {each.reason}"
        for each in refusals
    )


def _untold_words(model_type: str, version: Version) -> str:
    return (
        f"whether transformers {version} implements `{model_type}` cannot be told without its "
        "files; use `--python` with an interpreter that has it"
    )


def _unknown_words(checkpoint: Checkpoint, version: Version) -> str:
    if checkpoint.hub_model is not None:
        name = checkpoint.hub_model.chosen.name
        if name in KRONOS_CLASSES:
            return f"these are weights of `{name}`, of Kronos, which forecasts candles, not text"
        return f"these are weights of `{name}`, which loads them itself and is not run by TrueUp"
    if checkpoint.adapter is not None and not checkpoint.adapter.has_own_model:
        return "the directory holds a PEFT adapter, which has no architecture of its own"
    if checkpoint.model_type is None:
        return "config.json names no `model_type`, so the architecture is not known"
    titles = ", ".join(family.title for family in NATIVE if family.implementation)
    unread = ""
    if checkpoint.model_type == "chatglm":
        unread = "; which of these it is, its own tokenizer code tells, and that is not there"
    return (
        f"the architecture `{checkpoint.model_type}` is neither implemented by transformers "
        f"{version} nor mapped by TrueUp (mapped: {titles}){unread}"
    )
