"""Quantised weights: what they are, and what has to be installed to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown

ACCELERATE = ("accelerate",)
CONFIG, KEY = "config.json", "quantization_config"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """A method's name and the packages that read it: of each group, any one."""

    title: str
    packages: tuple[tuple[str, ...], ...] = ()
    more: str = ""


METHODS = {
    "gptq": _Method(title="GPTQ", packages=(("gptqmodel", "auto-gptq"), ("optimum",))),
    "awq": _Method(title="AWQ", packages=(("gptqmodel", "autoawq"), ACCELERATE)),
    "bitsandbytes": _Method(title="bitsandbytes", packages=(("bitsandbytes",), ACCELERATE)),
    "fp8": _Method(title="FP8", packages=(ACCELERATE,), more="; a GPU of the Ada generation on"),
    "mxfp8": _Method(title="MXFP8", packages=(ACCELERATE,)),
    "nvfp4": _Method(title="NVFP4", packages=(ACCELERATE,)),
    "mxfp4": _Method(title="MXFP4", packages=(ACCELERATE,), more="; packed with kernels, triton"),
    "fbgemm_fp8": _Method(title="FP8 (FBGEMM)", packages=(("fbgemm-gpu", "kernels"), ACCELERATE)),
    "compressed-tensors": _Method(title="compressed-tensors", packages=(("compressed-tensors",),)),
    "aqlm": _Method(title="AQLM", packages=(("aqlm",), ACCELERATE)),
    "hqq": _Method(title="HQQ", packages=(("hqq",),)),
    "eetq": _Method(title="EETQ", packages=(("kernels", "eetq"), ACCELERATE)),
    "quanto": _Method(title="Quanto", packages=(("optimum-quanto",), ACCELERATE)),
    "torchao": _Method(title="torchao", packages=(("torchao",),)),
    "bitnet": _Method(title="BitNet", packages=(ACCELERATE,)),
    "vptq": _Method(title="VPTQ", packages=(("vptq",), ACCELERATE)),
    "spqr": _Method(title="SpQR", packages=(("spqr-quant",), ACCELERATE)),
    "higgs": _Method(title="HIGGS", packages=(("flute-kernel",), ACCELERATE)),
    "quark": _Method(title="Quark", packages=(("amd-quark",),)),
    "fp_quant": _Method(title="FP-Quant", packages=(("fp-quant",),)),
    "auto-round": _Method(title="AutoRound", packages=(("auto-round",),)),
    "sinq": _Method(title="SINQ", packages=(("sinq",),)),
    "metal": _Method(title="Metal", packages=(("kernels",),)),
    "fouroversix": _Method(title="Four Over Six", packages=(("fouroversix",),)),
    "gguf": _Method(title="GGUF", packages=(("gguf",),)),
    "gemma": _Method(title="Gemma's own method"),
}
PACKED = (".qweight", ".qzeros")
# Of methods that transformers does not read.
PACKED_ELSEWHERE = (".q_weight", ".q_groups", ".trellis", ".scales", ".weight_packed")
# From this release on a method that is not known is skipped with a warning.
SKIPPED_SINCE = Version("4.49.0")


def _settings(checkpoint: Checkpoint) -> Mapping[str, Any] | None:
    found = checkpoint.config.get(KEY)
    return found if isinstance(found, dict) else None


def _name(settings: Mapping[str, Any]) -> str:
    name = settings.get("quant_method")
    if isinstance(name, str):
        return name.lower()
    is_bitsandbytes = settings.get("load_in_4bit") or settings.get("load_in_8bit")
    return "bitsandbytes" if is_bitsandbytes else ""


def _words(settings: Mapping[str, Any]) -> str:
    """Bits and groups, where the settings have them."""
    bits = settings.get("bits", settings.get("w_bit"))
    if bits is None:
        bits = 4 if settings.get("load_in_4bit") else 8 if settings.get("load_in_8bit") else None
    group = settings.get("group_size", settings.get("q_group_size"))
    told = [f"{bits} bits" if type(bits) is int else "", f"groups of {group}" if group else ""]
    listed = ", ".join(each for each in told if each)
    return f", {listed}"[:80] if listed else ""


class Quantised(Rule):
    """The weights are quantised.

    Such a model needs the package that reads its method, and mostly a GPU.

    Install that package; the finding names it.
    """

    code = "QNT101"
    stage = "load"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        settings = _settings(facts.checkpoint)
        method = METHODS.get(_name(settings)) if settings is not None else None
        if settings is None or method is None:
            return
        needed = " and ".join(" or ".join(f"`{each}`" for each in g) for g in method.packages)
        told = f"; reading them needs {needed}{method.more}" if needed else ""
        yield self.found(
            f"the weights are quantised by {method.title}{_words(settings)}{told}",
            where=Where(path=CONFIG, key=KEY),
        )


class QuantisationPackageMissing(Rule):
    """The weights are quantised by a method whose package is not installed.

    transformers refuses to load them: `Loading an AWQ quantized model requires gptqmodel`, `Using
    bitsandbytes 4-bit quantization requires accelerate`, `Unknown quantization type, got exl2`; the
    last one is a warning since 4.49.0, and the weights are loaded as if they were not quantised.

    Install the package, or get the weights unquantised.
    """

    code = "QNT102"
    messages = (
        Message(
            patterns=(
                r"(?:Loading an? [\w-]+ quantized model|Using `?[\w-]+`? (?:[48]-bit "
                r")?quantization|\b\w+ quantization) requires (?:the )?`?(?P<name>[\w-]+)",
            ),
            cause="the weights are quantised, and `{name}`, which reads them, is not installed",
            hint="install `{name}`, or get the weights unquantised",
        ),
        Message(
            patterns=(r"Unknown quantization type, got (?P<name>[\w-]+)",),
            cause="the weights are quantised by `{name}`, which the transformers that ran does "
            "not know",
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = ("native", "fixed")

    def check(self, facts: Facts) -> Iterable[Finding]:
        settings = _settings(facts.checkpoint)
        if settings is None:
            return
        name = _name(settings)
        method = METHODS.get(name)
        if method is None:
            yield self._unknown(facts, name)
            return
        if facts.environment.is_assumed:  # of which only the version of transformers is known
            return
        packages = facts.environment.packages
        missing = [
            group for group in method.packages if not any(each in packages for each in group)
        ]
        if missing:
            names = [group[0] for group in missing]
            yield self.found(
                f"the weights are quantised by {method.title}, and "
                f"{', '.join(f'`{each}`' for each in names)} "
                f"{'is' if len(names) == 1 else 'are'} not installed",
                where=Where(path=CONFIG, key=KEY),
                hint=f"pip install {' '.join(names)}",
            )

    def _unknown(self, facts: Facts, name: str) -> Finding:
        """A method that no release knows, which newer ones skip; or settings without any."""
        version = facts.environment.transformers
        base = Version(version.base_version) if version is not None else None
        tensors = facts.checkpoint.weights.tensors
        is_packed = any(tensor.endswith((*PACKED, *PACKED_ELSEWHERE)) for tensor in tensors)
        where = Where(path=CONFIG, key=f"{KEY}.quant_method")
        if name and base is not None and base >= SKIPPED_SINCE and not is_packed:
            return self.found(
                f"`{KEY}` names `{shown(name)[:40]}`, which transformers does not know: it loads "
                "the weights as if they were not quantised",
                where=where,
                hint=f"take `{KEY}` out of config.json if they are not",
                severity="warning",
                blocks=(),
            )
        told = (
            f"names `{shown(name)[:40]}`, which transformers does not know"
            if name
            else "has no `quant_method`, without which transformers does not load the model"
        )
        return self.found(
            f"`{KEY}` {told}: expected one of {', '.join(METHODS)}",
            where=where,
            hint="get the model's unquantised weights, or run it with the program it is for"
            if name
            else "copy config.json from where the weights came from, or add the `quant_method`",
            blocks=EVERY_ROUTE,
        )


class PackedWithoutConfig(Rule):
    """The tensors are packed as GPTQ and AWQ pack them, and config.json does not say so.

    The model is built unquantised, none of its layers finds its weights, and all stay random.

    Copy config.json with its `quantization_config`.
    """

    code = "QNT103"
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        if not checkpoint.config or _settings(checkpoint) is not None:
            return
        packed = next((name for name in checkpoint.weights.tensors if name.endswith(PACKED)), None)
        if packed is None:
            return
        beside = next(
            (name for name in ("quantize_config.json", "quant_config.json")
             if name in checkpoint.files),
            None,
        )  # fmt: skip
        yield self.found(
            f"the tensors are packed (`{shown(packed)[:100]}`), and config.json has no `{KEY}`",
            where=Where(path=CONFIG, key=KEY),
            hint=f"put the content of `{beside}` into config.json as `{KEY}`, with `quant_method`"
            if beside
            else f"copy config.json with its `{KEY}` from where the weights came from",
        )


RULES: tuple[Rule, ...] = (Quantised(), QuantisationPackageMissing(), PackedWithoutConfig())
