"""config.json against the weights' headers: layers and the embedding's shape. Reads no numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a layout has its layers and its embedding, and the config's keys for them.

    `is_exact` where a layer beyond the count is an error too: the library ignores some, such as
    those that only speculate on the next token.
    """

    layers: str
    embedding: str
    count_key: str
    rows_key: str
    is_exact: bool
    columns_key: str = "hidden_size"


LAYOUTS = (
    _Layout(
        layers="transformer.encoder.layers.",
        embedding="transformer.embedding.word_embeddings.weight",
        count_key="num_layers",
        rows_key="padded_vocab_size",
        is_exact=True,
    ),
    _Layout(
        layers="model.layers.",
        embedding="model.embed_tokens.weight",
        count_key="num_hidden_layers",
        rows_key="vocab_size",
        is_exact=False,
    ),
)


class ConfigNotOfTheWeights(Rule):
    """config.json counts other layers, tokens or hidden units than the weights have.

    The two are of different models, or a value was edited. Copy both from the same place.
    """

    code = "DIR115"
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        tensors = checkpoint.weights.tensors
        # Half a set of weights would be reported twice, the second time for a wrong reason.
        if any(each.path in checkpoint.weights.files for each in checkpoint.problems):
            return
        for layout in LAYOUTS:
            if layout.embedding in tensors:
                yield from self._layers(checkpoint, layout)
                yield from self._embedding(checkpoint, layout)
                return

    def _layers(self, checkpoint: Checkpoint, layout: _Layout) -> Iterable[Finding]:
        count = _number(checkpoint, layout.count_key)
        present = _layer_numbers(checkpoint, layout)
        if count is None or not present:
            return
        missing = sorted(set(range(count)) - present) if count <= 100_000 else [max(present) + 1]
        if missing:
            told = f"the weights have no tensor `{layout.layers}{missing[0]}.*`"
        elif layout.is_exact and max(present) >= count:
            told = f"the weights have tensors `{layout.layers}{max(present)}.*`"
        else:
            return
        yield self._differs(
            layout.count_key, f"{count}, and {told}: they have {len(present)} layers"
        )

    def _embedding(self, checkpoint: Checkpoint, layout: _Layout) -> Iterable[Finding]:
        shape = checkpoint.weights.tensors[layout.embedding].shape
        if len(shape) != 2:
            return
        for key, found, what in zip(
            (layout.rows_key, layout.columns_key), shape, ("rows", "columns"), strict=True
        ):
            wanted = _number(checkpoint, key)
            if wanted is not None and wanted != found:
                yield self._differs(
                    key, f"{wanted}, and the tensor `{layout.embedding}` has {found} {what}"
                )

    def _differs(self, key: str, told: str) -> Finding:
        return self.found(
            f"config.json is not of these weights: its `{key}` is {told}",
            where=Where(path="config.json", key=key),
            hint="copy config.json and the weights from the same place",
        )


def _number(checkpoint: Checkpoint, key: str) -> int | None:
    value = checkpoint.config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _layer_numbers(checkpoint: Checkpoint, layout: _Layout) -> set[int]:
    numbers = (
        name.removeprefix(layout.layers).partition(".")[0]
        for name in checkpoint.weights.tensors
        if name.startswith(layout.layers)
    )
    return {int(number) for number in numbers if number.isdecimal() and len(number) < 7}


RULES: tuple[Rule, ...] = (ConfigNotOfTheWeights(),)
