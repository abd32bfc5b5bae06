"""Weight files under other names, with other names in them, or in layouts of other programs."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown

# What training wraps models in, and what that puts before the names of tensors.
WRAPPERS = {
    "module.": "DataParallel or DeepSpeed",
    "_orig_mod.": "torch.compile",
    "_forward_module.": "Lightning",
    "_fsdp_wrapped_module.": "FSDP",
    "base_model.model.": "PEFT",
}


class OddWeightName(Rule):
    """The weights have a name that transformers does not look for."""

    code = "DIR114"
    stage = "load"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        weights = facts.checkpoint.weights
        expected = {"safetensors": "model.safetensors", "pickle": "pytorch_model.bin"}
        name = expected.get(weights.format)
        if name is None or len(weights.files) != 1:
            return
        if weights.files[0] != name and f"{name}.index.json" not in facts.checkpoint.files:
            yield self.found(
                f"the weights are called `{shown(weights.files[0])}`; transformers looks for "
                f"`{name}`",
                where=Where(path=shown(weights.files[0])),
                hint=f"rename the file to `{name}`",
            )


class WrappedNames(Rule):
    """The names of all tensors begin with what a training program wrapped the model in.

    No loader finds them: transformers and PyTorchModelHubMixin both go on with random numbers.
    Save the inner model, or take the beginning off the names.
    """

    code = "DIR120"
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


RULES: tuple[Rule, ...] = (OddWeightName(), WrappedNames())
