"""PEFT adapters: the base that they need, and whether they fit it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from trueup.checkpoint.checkpoint import Adapter
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown

CONFIG = "adapter_config.json"
START = "base_model.model."
LORA = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight")
# Prefixes that a model's class puts before the names of its body.
BODIES = ("", "model.", "transformer.")
PACKED = ("U8", "I8", "I32")
SHOWN = 3


class IsAnAdapter(Rule):
    """The directory holds a PEFT adapter and no model.

    An adapter changes a base model and needs it.

    Merge the two into a checkpoint of its own.
    """

    code = "PEFT101"
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        adapter = facts.checkpoint.adapter
        if adapter is None or adapter.has_own_model:
            return
        kind = adapter.config.get("peft_type")
        named = f"{shown(kind)[:30]} " if isinstance(kind, str) else ""
        base = f" of `{shown(adapter.base)[:120]}`" if adapter.base else ""
        missing = "" if "peft" in facts.environment.packages else " (pip install peft)"
        yield self.found(
            f"the directory holds a {named}adapter{base}, not a model: TrueUp runs it once it is "
            "merged into its base",
            where=Where(path=CONFIG),
            hint='python -c "from peft import AutoPeftModelForCausalLM as A; '
            f"A.from_pretrained('.').merge_and_unload().save_pretrained('merged')\"{missing}",
        )


class BaseNotHere(Rule):
    """The adapter's base model is not named, or is not on this machine.

    `base_model_name_or_path` is often a path on the machine that trained.

    Get the base, or correct the path.
    """

    code = "PEFT102"
    stage = "load"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        adapter = facts.checkpoint.adapter
        if adapter is None or any(each.path == CONFIG for each in facts.checkpoint.problems):
            return
        key = "base_model_name_or_path"
        if adapter.base is None:
            yield self.found(
                f"{CONFIG} names no base model: `{key}` is absent or empty",
                where=Where(path=CONFIG, key=key),
                hint=f"set `{key}` to the model that was trained",
            )
        elif adapter.base_directory is None:
            base = shown(adapter.base)[:120]
            is_id = re.fullmatch(r"[\w.-]+/[\w.-]+", adapter.base) is not None
            yield self.found(
                f"the adapter's base `{base}` is not here: neither under that path, nor beside "
                "the adapter, nor in the cache",
                where=Where(path=CONFIG, key=key),
                hint=f"hf download {base}" if is_id else f"set `{key}` to where the base is now",
                severity="warning",
            )


class AdapterWithoutWeights(Rule):
    """There is an adapter_config.json and no adapter_model file.

    peft says `Can't find weights for /adapters/x`.

    Copy adapter_model.safetensors from where the adapter came from.
    """

    code = "PEFT103"
    messages = (
        Message(
            patterns=(r"Can't find weights for ",),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        adapter = facts.checkpoint.adapter
        if adapter is not None and adapter.weights.format == "none":
            yield self.found(
                "the adapter has no weights: neither `adapter_model.safetensors` nor "
                "`adapter_model.bin` is there",
                where=Where(path="adapter_model.safetensors"),
                hint="copy it from where the adapter came from",
            )


class AdapterOfAnotherBase(Rule):
    """The adapter does not fit its base: modules that the base has not, or other shapes.

    `Target modules {'W_pack'} not found in the base model`, or `size mismatch for
    base_model.model.lm_head.lora_A.default.weight`.

    Take the base that the adapter was trained on.
    """

    code = "PEFT104"
    messages = (
        Message(
            patterns=(
                r"[Tt]arget modules .* not found in the base model",
                r"size mismatch for [\w.]*lora_[AB]",
            ),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        adapter = facts.checkpoint.adapter
        if adapter is None or not adapter.base_tensors:
            return
        told = next(_misfits(adapter), None)
        if told is not None:
            yield self.found(
                f"the adapter does not fit its base in `{adapter.base_directory}`: {told}",
                where=Where(path=CONFIG, key="base_model_name_or_path"),
                hint="take the base model that the adapter was trained on",
            )


def _misfits(adapter: Adapter) -> Iterator[str]:
    """What does not fit, the plainest first."""
    modules = {name.rpartition(".")[0] for name in adapter.base_tensors}
    lone = {module.rpartition(".")[2] for module in modules}
    targets = adapter.config.get("target_modules")
    if isinstance(targets, list):
        absent = [
            each
            for each in targets
            if isinstance(each, str) and each.rpartition(".")[2] not in lone
        ]
        if absent:
            names = ", ".join(f"`{shown(each)[:60]}`" for each in absent[:SHOWN])
            yield f"it has no module {names}, which `target_modules` names"
    for name, info in adapter.weights.tensors.items():
        found = LORA.fullmatch(name)
        if found is None or len(info.shape) != 2:
            continue
        path = found["module"].removeprefix(START)
        weight = next(
            (
                adapter.base_tensors[full]
                for start in BODIES
                if (full := f"{start}{path}.weight") in adapter.base_tensors
            ),
            adapter.base_tensors.get(f"{path.partition('.')[2]}.weight"),
        )
        if weight is None:
            yield f"it has no `{shown(path)[:100]}`"
        elif weight.dtype not in PACKED and len(weight.shape) == 2:
            is_turned = adapter.config.get("fan_in_fan_out") is True
            rows, columns = weight.shape[::-1] if is_turned else weight.shape
            size = info.shape[1] if found["side"] == "A" else info.shape[0]
            wanted = columns if found["side"] == "A" else rows
            if size != wanted:
                yield f"`{shown(name)[:120]}` is for {size}, the base's weight has {wanted}"


class AdapterBesideAModel(Rule):
    """The directory holds a whole model and an adapter of another one.

    With peft installed, transformers sees adapter_config.json and loads the base that it names
    instead of the weights here.

    Move the adapter's files away.
    """

    code = "PEFT105"
    stage = "load"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        adapter = facts.checkpoint.adapter
        if adapter is None or not adapter.has_own_model or adapter.base is None:
            return
        has_peft = "peft" in facts.environment.packages
        when = "peft is installed, so transformers" if has_peft else "with peft, transformers"
        yield self.found(
            f"the directory holds a model and an adapter: {when} loads "
            f"`{shown(adapter.base)[:120]}` and the adapter instead of the weights here",
            where=Where(path=CONFIG),
            hint=f"move `{CONFIG}` and the adapter's weights out of the directory",
        )


RULES: tuple[Rule, ...] = (
    IsAnAdapter(),
    BaseNotHere(),
    AdapterWithoutWeights(),
    AdapterOfAnotherBase(),
    AdapterBesideAModel(),
)
