"""config.json against the weights' headers: layers and the embedding's shape. Reads no numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts import evidence_of, layout_of
from trueup.checkpoint.layouts.wanted import Compared
from trueup.checkpoint.rebuild import MARK
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint
from trueup.doctor.rules.directory import EVERY_ROUTE, shown


def has_own_model(checkpoint: Checkpoint) -> bool:
    """Whether code of its own may make the model, with other tensors than the library's class."""
    return any(name.startswith("AutoModel") for name in checkpoint.auto_map)


def for_the_class_alone(finding: Finding, checkpoint: Checkpoint) -> Finding:
    """What is true of the library's class may not be of the model's own, where it has one."""
    if not has_own_model(checkpoint):
        return finding
    return replace(finding, severity="warning", blocks=("native",))


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


SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")
KRONOS_PAIRS = "; Kronos-mini goes with Tokenizer-2k, small and base with Tokenizer-base"


class ConfigNotOfTheWeights(Rule):
    """config.json counts other layers, tokens or hidden units than the weights have.

    The two are of different models, or a value was edited: `size mismatch for lm_head.weight`.

    Copy both from the same place.
    """

    code = "DIR115"
    messages = (
        Message(
            patterns=(
                r"size mismatch for [\w.]*group_basis",
                r"group_basis.*\[5\].*\[4\]",
            ),
            cause="the weights of Tokenizer-2k were read with the config of Tokenizer-base",
            hint="Kronos-mini goes with Tokenizer-2k, small and base with Tokenizer-base: "
            "copy config.json and the weights from one repository",
        ),
        Message(
            patterns=(r"size mismatch for (?P<name>[\w.]+)",),
            is_broad=True,
            cause="the weights are of another size than config.json says, `{name}` first",
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        tensors = checkpoint.weights.tensors
        # Half a set of weights would be reported twice, the second time for a wrong reason.
        if any(each.path in checkpoint.weights.files for each in checkpoint.problems):
            return
        told: set[str] = set()
        found: list[Finding] = []
        for layout in LAYOUTS:
            if layout.embedding in tensors:
                told |= {layout.count_key, layout.rows_key, layout.columns_key, "vocab_size"}
                found += self._layers(checkpoint, layout, facts.compared)
                found += self._embedding(checkpoint, layout)
                break
        else:
            if facts.compared is not None:  # saved without a head, or another family
                told.add(facts.compared.layers_key)
                found += self._layers(checkpoint, None, facts.compared)
        for finding in self._values(checkpoint, told):
            # Code of its own may make other use of the same names: gates beside heads, for one.
            if has_own_model(checkpoint):
                finding = replace(finding, severity="warning", blocks=())
            found.append(finding)
        yield from found
        if facts.compared is not None and not any(each.severity == "error" for each in found):
            for finding in islice(self._shapes(checkpoint, facts.compared), 1):
                yield for_the_class_alone(finding, checkpoint)

    def _shapes(self, checkpoint: Checkpoint, compared: Compared) -> Iterable[Finding]:
        """Whatever the sizes above do not show, as heads of keys: one for all its tensors."""
        for each in compared.mismatched:
            more = len(compared.mismatched) - 1
            others = f" (and {more} more tensors are of other shapes)" if more else ""
            value = checkpoint.config.get(each.key)
            wanted = ", ".join("?" if size is None else str(size) for size in each.wanted)
            yield self._differs(
                each.key,
                f"{'not set' if value is None else value}, which means `{shown(each.name)}` of "
                f"[{wanted}], and the weights have it of {list(each.found)}{others}",
            )

    def _layers(
        self, checkpoint: Checkpoint, layout: _Layout | None, compared: Compared | None
    ) -> Iterable[Finding]:
        if layout is not None:
            key, layers = layout.count_key, layout.layers
        elif compared is not None:
            key, layers = compared.layers_key, compared.layers
        else:
            return
        count, present = _number(checkpoint, key), _layer_numbers(checkpoint, layers)
        if count is None or not present:
            return
        missing = sorted(set(range(count)) - present) if count <= 100_000 else [max(present) + 1]
        is_exact = compared is not None or (layout is not None and layout.is_exact)
        if missing:
            told = f"the weights have no tensor `{layers}{missing[0]}.*`"
        elif is_exact and max(present) >= count:
            told = f"the weights have tensors `{layers}{max(present)}.*`"
        else:
            return
        finding = self._differs(key, f"{count}, and {told}: they have {len(present)} layers")
        is_known = layout is not None and (missing or layout.is_exact)
        yield finding if is_known else for_the_class_alone(finding, checkpoint)

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

    def _values(self, checkpoint: Checkpoint, told: set[str]) -> Iterable[Finding]:
        """The numbers that the shapes of a known layout determine."""
        evidence = evidence_of(checkpoint)
        layout = layout_of(evidence)
        if layout is None:
            return
        if not checkpoint.config.get("multi_query_attention", True):
            told = told | {"multi_query_group_num"}
        for value in layout.values(evidence):
            wanted = _number(checkpoint, value.key)
            is_number = type(value.value) is int and value.origin == "weights"
            if is_number and value.key not in told and wanted not in (None, value.value):
                more = KRONOS_PAIRS if value.key == "group_size" else ""
                yield self._differs(
                    value.key,
                    f"{wanted}, and the weights have {value.value} ({value.reason}){more}",
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


def _layer_numbers(checkpoint: Checkpoint, layers: str) -> set[int]:
    numbers = (
        name.removeprefix(layers).partition(".")[0]
        for name in checkpoint.weights.tensors
        if name.startswith(layers)
    )
    return {int(number) for number in numbers if number.isdecimal() and len(number) < 7}


class ConfigLacksSizes(Rule):
    """config.json does not say sizes that the tensors have.

    The class takes its defaults for them, which are those of another model: shapes do not match,
    or layers stay random.

    Add the keys.
    """

    code = "DIR123"
    stage = "config"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        layout = layout_of(evidence_of(checkpoint))
        if checkpoint.model_type is None or layout is None or layout.class_name is not None:
            return
        values = layout.values(evidence_of(checkpoint))
        told = {each.key: each.value for each in values if each.origin == "weights"}
        if told.get("model_type", checkpoint.model_type) != checkpoint.model_type:
            return  # another class with other keys
        lacking = {key: told[key] for key in SIZES if key in told and key not in checkpoint.config}
        if lacking:
            listed = ", ".join(f"`{key}` ({value})" for key, value in lacking.items())
            yield self.found(
                f"config.json does not say {listed}, which the tensors have; the class takes its "
                "defaults, which are another model's",
                where=Where(path="config.json", key=next(iter(lacking))),
                hint=config_hint(checkpoint),
            )


class ConfigIsGuessed(Rule):
    """config.json was rebuilt by `trueup check --write-config` and holds guesses.

    Shapes do not show every setting.

    Compare the guessed values with the published config.json, then take their names out of the key
    that marks them.
    """

    code = "DIR121"
    stage = "config"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        marked = facts.checkpoint.config.get(MARK)
        names = [key for key in marked if isinstance(key, str)] if isinstance(marked, list) else []
        if names:
            listed = ", ".join(f"`{name[:60]}`" for name in names[:20])
            yield self.found(
                f"config.json was rebuilt from the weights, which do not determine {len(names)} of "
                f"its values: {listed}",
                where=Where(path="config.json", key=MARK),
                hint=f"compare them with the published config.json, then remove `{MARK}`",
            )


RULES: tuple[Rule, ...] = (ConfigNotOfTheWeights(), ConfigLacksSizes(), ConfigIsGuessed())
