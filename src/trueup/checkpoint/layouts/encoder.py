"""Encoders named as BERT names its tensors: BERT, RoBERTa, XLM-RoBERTa."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from trueup.checkpoint.layouts.layout import Evidence, Layout, Value, from_weights, guess

EMBEDDING = "embeddings.word_embeddings.weight"
PREFIXES = {"bert.": "bert", "roberta.": "roberta", "": None}
ROBERTA_POSITIONS = 514
XLM_VOCABULARY = 250_000
CLASSES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta"}
EPS = {"bert": 1e-12, "roberta": 1e-5, "xlm-roberta": 1e-5}
NAMED = {"bert": "bert-base-uncased", "roberta": "roberta-base", "xlm-roberta": "xlm-roberta-base"}
HEAD_SIZES = (64, 32, 16, 8)
SPECIAL: dict[str, dict[str, int]] = {
    "bert": {"pad_token_id": 0},
    "roberta": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "xlm-roberta": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
}


def _prefix(evidence: Evidence) -> str | None:
    for prefix in PREFIXES:
        first = f"{prefix}encoder.layer.0."
        names = (
            f"{prefix}{EMBEDDING}",
            f"{prefix}embeddings.position_embeddings.weight",
            f"{first}attention.self.query.weight",
            f"{first}intermediate.dense.weight",
        )
        if all(len(evidence.shape(name)) == 2 for name in names):
            return prefix
    return None


def _is_encoder(evidence: Evidence) -> bool:
    prefix = _prefix(evidence)
    # ELECTRA's embeddings are narrower than its layers, which no key of BERT's says.
    return prefix is not None and f"{prefix}embeddings_project.weight" not in evidence.tensors


def _model_type(evidence: Evidence, prefix: str) -> Value:
    rows = evidence.rows(f"{prefix}{EMBEDDING}") or 0
    table = f"{prefix}embeddings.position_embeddings.weight"
    positions = evidence.rows(table) or 0
    if prefix == "bert.":
        return from_weights("model_type", "bert", f"{prefix}{EMBEDDING}", "its name")
    if prefix == "roberta." or positions == ROBERTA_POSITIONS:
        kind = "xlm-roberta" if rows >= XLM_VOCABULARY else "roberta"
        told = f"{rows} tokens; the two name their tensors alike"
        if prefix == "":
            told = f"{positions} positions, as RoBERTa has; no tensor is named after the model"
        return guess("model_type", kind, told)
    return guess("model_type", "bert", "the names are BERT's; no tensor is named after the model")


def _values(evidence: Evidence) -> Iterable[Value]:
    prefix = _prefix(evidence) or ""
    model_type = _model_type(evidence, prefix)
    kind = str(model_type.value)
    reason = f"as in the published {NAMED[kind]}"
    rows, width = evidence.shape(f"{prefix}{EMBEDDING}")
    layers = evidence.layers(f"{prefix}encoder.layer.")
    yield model_type
    yield _architecture(evidence, kind)
    yield from_weights("vocab_size", rows, f"{prefix}{EMBEDDING}", "its rows")
    yield from_weights("hidden_size", width, f"{prefix}{EMBEDDING}", "its columns")
    name = f"{prefix}encoder.layer."
    yield from_weights("num_hidden_layers", layers, f"{name}*", f"{layers} layers")
    inner = f"{name}0.intermediate.dense.weight"
    yield from_weights("intermediate_size", evidence.rows(inner), inner, "its rows")
    for key, table in (
        ("max_position_embeddings", "position_embeddings"),
        ("type_vocab_size", "token_type_embeddings"),
    ):
        found = evidence.rows(f"{prefix}embeddings.{table}.weight")
        if found is not None:
            yield from_weights(key, found, f"{prefix}embeddings.{table}.weight", "its rows")
    head = next((size for size in HEAD_SIZES if width % size == 0 and width > size), width)
    yield guess("num_attention_heads", width // head, f"if a head has {head}, {reason}")
    yield from _labels(evidence)
    yield guess("hidden_act", "gelu", reason)
    yield guess("layer_norm_eps", EPS[kind], reason)
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        yield guess(key, 0.1, f"{reason}; it matters in training only")
    for key, usual in SPECIAL[kind].items():
        own = evidence.token_ids.get(key.removesuffix("_id"))
        if own is not None:
            told = "the tokenizer's files"
            yield Value(key=key, value=own, origin="tokenizer", reason=told)
        else:
            yield guess(key, usual, reason)
    dtype = evidence.dtype()
    if dtype is not None:
        yield Value(key="torch_dtype", value=dtype, origin="weights", reason="the tensors' dtype")


def _architecture(evidence: Evidence, kind: str) -> Value:
    """The class with the head whose tensors are there."""
    start = CLASSES[kind]
    for name, ending in (
        ("cls.seq_relationship.weight", "ForPreTraining"),
        ("cls.predictions.transform.dense.weight", "ForMaskedLM"),
        ("lm_head.dense.weight", "ForMaskedLM"),
        ("classifier.out_proj.weight", "ForSequenceClassification"),
        ("qa_outputs.weight", "ForQuestionAnswering"),
    ):
        if name in evidence.tensors:
            return from_weights("architectures", [f"{start}{ending}"], name)
    if "classifier.weight" in evidence.tensors:
        has_pooler = any(".pooler." in f".{name}" for name in evidence.tensors)
        ending = "ForSequenceClassification" if has_pooler else "ForTokenClassification"
        told = f"`classifier.weight` {'with' if has_pooler else 'without'} a pooler"
        return guess("architectures", [f"{start}{ending}"], told)
    told = "there is no tensor of a head"
    return Value(key="architectures", value=[f"{start}Model"], origin="weights", reason=told)


def _labels(evidence: Evidence) -> Iterator[Value]:
    for name in ("classifier.out_proj.weight", "classifier.weight"):
        count = evidence.rows(name)
        if count is not None and count < 100_000:
            labels: dict[str, Any] = {str(number): f"LABEL_{number}" for number in range(count)}
            numbers = {label: int(number) for number, label in labels.items()}
            reason = f"`{name}` has {count} rows; the labels' own names are not known"
            yield guess("id2label", labels, reason)
            yield guess("label2id", numbers, reason)
            return


LAYOUTS = (
    Layout(
        name="bert",
        title="an encoder with BERT's names",
        recognise=_is_encoder,
        values=_values,
    ),
)
