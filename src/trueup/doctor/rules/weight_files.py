"""Weight files under other names, with other names in them, or in layouts of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from trueup.checkpoint.checkpoint import GgufHeader
from trueup.checkpoint.foreign import foreign_layout
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown

SHARD = re.compile(r"-\d+-of-(?P<all>\d{1,6})\.")
# What training wraps models in, and what that puts before the names of tensors.
WRAPPERS = {
    "module.": "DataParallel or DeepSpeed",
    "_orig_mod.": "torch.compile",
    "_forward_module.": "Lightning",
    "_fsdp_wrapped_module.": "FSDP",
    "base_model.model.": "PEFT",
}


class WeightsMissing(Rule):
    """The directory has no weights that transformers loads.

    Neither model.safetensors nor pytorch_model.bin nor an index of shards is there: `Error no file
    named model.safetensors found in directory`. What is there instead is named: GGUF of llama.cpp,
    shards of a training program, another framework's file.

    Copy the weights from where the model came from, or convert what is there.
    """

    code = "DIR103"
    messages = (
        Message(
            patterns=(
                r"no file named (?:pytorch_model\.bin|model\.safetensors)",
                r"does not appear to have a file named (?:pytorch_model\.bin|"
                r"model\.safetensors)",
            ),
        ),
        Message(
            patterns=(r"Entry Not Found for url: \S*/(?:pytorch_model\.bin|model\.safetensors)",),
        ),
        Message(
            patterns=(r"No such file or directory.*\bmodel\.safetensors",),
            is_broad=True,
            seen_with=(
                r"[Kk]ronos",
                r"hub_mixin",
            ),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        weights, adapter = checkpoint.weights, checkpoint.adapter
        foreign = foreign_layout(checkpoint.files)
        if adapter is not None and not adapter.has_own_model:
            return
        if weights.format == "gguf":
            yield self.found(
                f"the weights are GGUF, the format of llama.cpp, which TrueUp does not run itself: "
                f"`{shown(weights.files[0])}`{_gguf_words(checkpoint.gguf)}",
                where=Where(path=shown(weights.files[0])),
                hint="serve it with llama.cpp or Ollama and put `trueup serve --backend` before "
                "it, or get the model's safetensors files",
            )
        elif foreign is not None and not _is_loaded(weights.files):
            yield self.found(
                f"the weights are {foreign.title}, which transformers does not load: "
                f"`{shown(foreign.file)}`",
                where=Where(path=shown(foreign.file)),
                hint=foreign.hint,
            )
        elif weights.format == "none":
            yield self.found(
                "there are no weights: neither `model.safetensors` nor `pytorch_model.bin` nor "
                "an index of shards",
                where=Where(path="model.safetensors"),
                hint="copy the weight files from where the model came from",
            )


def _is_loaded(files: tuple[str, ...]) -> bool:
    """Whether transformers looks for files of these names, or for an index of them."""
    return any(name.startswith(("model", "pytorch_model")) for name in files)


def _gguf_words(header: GgufHeader | None) -> str:
    if header is None:
        return ""
    told = [
        header.architecture,
        header.quantisation,
        f"{header.layers} layers" if header.layers else None,
        f"context {header.context_tokens:,}" if header.context_tokens else None,
        f"{header.tensor_count} tensors",
    ]
    return " (" + ", ".join(shown(each)[:60] for each in told if each) + ")"


class OddWeightName(Rule):
    """The weights have a name that transformers does not look for, or are one shard of several.

    Some loaders find them, others say that there are none.

    Rename the file, or copy the other shards and their index.
    """

    code = "DIR114"
    stage = "load"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        weights, files = facts.checkpoint.weights, facts.checkpoint.files
        expected = {"safetensors": "model.safetensors", "pickle": "pytorch_model.bin"}
        name = expected.get(weights.format)
        if name is None or len(weights.files) != 1 or foreign_layout(weights.files) is not None:
            return
        file = weights.files[0]
        if file == name or f"{name}.index.json" in files:
            return
        shard = SHARD.search(file)
        if shard is not None and int(shard["all"]) > 1:
            yield self.found(
                f"`{shown(file)}` is one of {int(shard['all'])} shards; the others and "
                f"`{name}.index.json` are not in the directory",
                where=Where(path=shown(file)),
                hint="copy the other shards and the index from where the model came from",
                severity="error",
                blocks=EVERY_ROUTE,
            )
            return
        yield self.found(
            f"the weights are called `{shown(file)}`; transformers looks for `{name}`",
            where=Where(path=shown(file)),
            hint=f"rename the file to `{name}`",
        )


class WrappedNames(Rule):
    """The names of all tensors begin with what a training program wrapped the model in.

    No loader finds them: transformers and PyTorchModelHubMixin both go on with random numbers, and
    `load_state_dict` says `Unexpected key(s) in state_dict: "module.embed.weight"`.

    Save the inner model, or take the beginning off the names.
    """

    code = "DIR120"
    messages = (
        Message(
            patterns=(
                r"(?:Unexpected key\(s\) in state_dict:|were not used when "
                r"initializing).*?['\\\"](?:module|_orig_mod|_forward_module|"
                r"_fsdp_wrapped_module|base_model\.model)\.",
            ),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        weights = facts.checkpoint.weights
        for start, program in WRAPPERS.items():
            if weights.tensors and all(name.startswith(start) for name in weights.tensors):
                first = next(iter(weights.tensors))
                yield self.found(
                    f"all {len(weights.tensors)} tensors have names that begin with `{start}`, "
                    f"which {program} puts there: none would be loaded, all stay random",
                    where=Where(path=shown(weights.files[0]), key=first[:120]),
                    hint=f"save the weights again without `{start}`: "
                    f"{{k.removeprefix('{start}'): v for k, v in state_dict.items()}}",
                )
                return


RULES: tuple[Rule, ...] = (WeightsMissing(), OddWeightName(), WrappedNames())
