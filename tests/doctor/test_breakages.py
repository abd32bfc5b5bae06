"""The breakages of remote code that users met, each on both sides of the release that made it.

A row is an error as it is pasted, the example that has it (tests/doctor/examples.py), the last
release before it and the first one with it (the other way round for what came later), which are
neighbours in the index, and what is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.checkpoint.directories import read
from tests.doctor.examples import EXAMPLES, PLAIN_CONFIG, Example
from tests.doctor.facts import checkpoint, environment
from tests.doctor.models import config, model
from trueup.doctor.catalogue import explain
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.rules import RULES
from trueup.environment.symbols.symbols import versions

BY_NAME = {each.name: each for each in EXAMPLES}


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """`since` is told by the finding, None where nothing tells it; `healed` works again."""

    error: str
    example: str
    sides: tuple[str, str]
    code: str
    stage: str
    since: str | None
    healed: str | None = None
    is_pasted: bool = True

    @property
    def exception(self) -> str | None:
        """The type that is raised; None for what is wrong without an error."""
        return self.error.partition(":")[0] if self.error[:1].isupper() else None


def row(error: str, example: str, sides: str, found: str, **more: Any) -> Breakage:
    """A row; the second of the sides is `since` where nothing else is said."""
    before, first = sides.split(" | ")
    code, stage = found.split()
    given = {"since": first, **more}
    return Breakage(
        error=error, example=example, sides=(before, first), code=code, stage=stage, **given
    )


TABLE = (
    # Tokenizers
    row("AttributeError: XTokenizer has no attribute vocab_size",
        "the vocabulary is set last", "4.33.3 | 4.34.0", "TOK101 tokenizer"),
    row("TypeError: 'property' object cannot be interpreted as an integer",
        "the vocabulary is set last", "4.57.6 | 5.0.0", "TOK101 tokenizer", since="4.34.0"),
    row("ImportError: requires the protobuf library but it was not found in your environment",
        "the vocabulary is set last, without protobuf", "4.44.2 | 4.45.0", "TOK101 tokenizer",
        since="4.34.0", healed="5.6.0"),
    row("TypeError: XTokenizer._pad() got an unexpected keyword argument 'padding_side'",
        "_pad takes no side", "4.44.2 | 4.45.0", "TOK104 tokenizer"),
    row("a chat that says: XTokenizer has no attribute batch_encode_plus",
        "batch_encode_plus", "4.57.6 | 5.0.0", "TOK105 chat"),
    row("a chat that says: `attention_mask` passed to `generate` must be 2D.",
        "a mask of three dimensions", "4.44.2 | 4.45.0", "GEN104 chat"),
    # Imports
    row("ValueError: 'minimax' is already used by a Transformers config, pick another name.",
        "a type that the library has taken", "4.52.4 | 4.53.0", "IMP105 import"),
    row("ImportError: cannot import name 'is_torch_fx_available' from 'transformers.utils'",
        "is_torch_fx_available", "4.57.6 | 5.0.0", "IMP101 import"),
    row("ImportError: cannot import name 'is_torch_greater_or_equal_than_1_13' from "
        "'transformers.pytorch_utils'",
        "a name that one release lacks", "4.47.1 | 4.48.0", "IMP101 import", healed="4.48.2"),
    row("ImportError: cannot import name 'LlamaFlashAttention2' from 'transformers.models.llama'",
        "an attention class", "4.47.1 | 4.48.0", "IMP101 import"),
    row("ImportError: cannot import name '_expand_mask' from 'transformers.models.bloom'",
        "a private helper", "4.34.1 | 4.35.0", "IMP101 import"),
    row("ImportError: cannot import name 'is_torch_npu_available' from 'transformers.utils'",
        "a name that came later", "4.32.0 | 4.31.0", "IMP101 import", since=None,
        healed="4.32.0", is_pasted=False),
    row("ImportError: cannot import name 'BeamSearchScorer' from 'transformers'",
        "a beam scorer", "4.56.2 | 4.57.1", "IMP101 import"),
    row("ImportError: cannot import name 'BeamSearchScorer' from 'transformers'",
        "a package that is broken itself", "4.56.2 | 4.57.1", "ENV106 import", is_pasted=False),
    row("ImportError: cannot import name 'DisjunctiveConstraint' from 'transformers'",
        "a package that is broken itself", "4.57.6 | 5.0.0", "ENV106 import", is_pasted=False),
    # Configurations
    row("AttributeError: 'XConfig' object has no attribute 'num_hidden_layers'",
        "no layer count", "4.55.4 | 4.56.0", "CFG101 generate"),
    row("AttributeError: 'XConfig' object has no attribute 'max_length'",
        "a generation setting is read of the config", "4.57.6 | 5.0.0", "CFG102 init"),
    row("AttributeError: 'XConfig' object has no attribute 'use_cache'",
        "use_cache is read of the config", "4.57.6 | 5.0.0", "CFG102 forward"),
    row("AttributeError: 'XConfig' object has no attribute 'forced_eos_token_id'",
        "a generation setting is read by the config itself", "4.57.6 | 5.0.0", "CFG102 config"),
    row("AttributeError: 'XConfig' object has no attribute 'pad_token_id'",
        "pad_token_id is read of the config", "4.57.6 | 5.0.0", "CFG104 init"),
    row("AttributeError: 'Options' object has no attribute 'get_text_config'",
        "a configuration of its own in the place of the library's", "4.48.3 | 4.49.0",
        "CFG105 load"),
    row("KeyError: 'type'", "the type of rope_scaling", "4.57.6 | 5.0.0", "CFG106 init"),
    # Building and loading
    row("AttributeError: 'XForCausalLM' object has no attribute 'all_tied_weights_keys'",
        "no post_init", "4.57.6 | 5.0.0", "LOAD102 load"),
    row("AttributeError: 'list' object has no attribute 'keys'",
        "a list of tied keys", "4.57.6 | 5.0.0", "LOAD105 init"),
    row("a model that saving refuses: 'list' object has no attribute 'keys'",
        "a list of tied keys where nothing is tied", "4.57.6 | 5.0.0", "LOAD110 load"),
    row("AttributeError: 'XForCausalLM' object has no attribute '_supports_sdpa'",
        "a question about attention asked too early", "4.53.3 | 4.54.0", "LOAD107 init"),
    row("RuntimeError: Tensor.item() cannot be called on meta tensors",
        "numbers out of tensors", "4.57.6 | 5.0.0", "LOAD106 load", healed="5.5.1"),
    row("RuntimeError: Tensor.item() cannot be called on meta tensors",
        "numbers out of other tensors", "4.57.6 | 5.0.0", "LOAD106 load"),
    row("TypeError: empty(): argument 'dtype' must be torch.dtype, not str",
        "a dtype that is text", "4.48.3 | 4.49.0", "LOAD101 load", healed="4.50.0"),
    row("wrong answers: buffers that no file holds stay unset",
        "a table that no file holds", "4.57.6 | 5.0.0", "LOAD103 forward"),
    row("wrong answers: what was loaded is initialised again",
        "weights that are initialised past torch's functions", "4.57.6 | 5.0.0",
        "LOAD109 forward", healed="5.2.0"),
    # Members that went
    row("AttributeError: 'XModel' object has no attribute 'get_head_mask'",
        "get_head_mask", "4.57.6 | 5.0.0", "LOAD108 forward"),
    row("AttributeError: 'XModel' object has no attribute 'get_extended_attention_mask'",
        "get_extended_attention_mask", "5.16.1 | 5.17.0", "LOAD108 forward"),
    # Generation
    row("AttributeError: 'XForCausalLM' object has no attribute 'generate'",
        "a model without generate", "4.51.3 | 4.52.1", "GEN105 generate"),
    row("AttributeError: 'XPartModel' object has no attribute 'generate'",
        "a part of the model without generate", "4.51.3 | 4.52.1", "GEN105 generate"),
    row("AttributeError: 'XForCausalLM' object has no attribute '_extract_past_from_model_output'",
        "the cache out of the outputs", "4.48.3 | 4.49.0", "GEN101 generate"),
    row("AttributeError: 'super' object has no attribute '_extract_past_from_model_output'",
        "the cache out of the outputs, by super", "4.48.3 | 4.49.0", "GEN101 generate"),
    row("TypeError: GenerationMixin._extract_past_from_model_output() got an unexpected keyword "
        "argument 'standardize_cache_format'",
        "the cache out of the outputs, in a keyword of its own", "4.43.4 | 4.44.0",
        "GEN101 generate"),
    row("AttributeError: 'str' object has no attribute 'shape'",
        "the cache out of the outputs, which comes with its name", "4.41.2 | 4.42.0",
        "GEN101 generate", is_pasted=False),
    row("a chat that says: 'GenerationConfig' object has no attribute '_eos_token_tensor'",
        "a loop of its own", "4.42.4 | 4.43.0", "GEN102 chat"),
    row("AttributeError: 'NoneType' object has no attribute 'new_ones'",
        "a mask that is extended", "5.17.0 | 5.18.0", "GEN103 generate"),
    row("a chat that hangs", "a stream that waits for a thread", "4.55.4 | 4.56.0", "GEN107 chat"),
    row("AttributeError: 'NoneType' object has no attribute 'shape'",
        "the length of a tuple cache", "4.55.4 | 4.56.0", "CACHE101 generate", healed="5.0.0"),
    row("AttributeError: 'NoneType' object has no attribute 'size'",
        "the size of a tuple cache", "4.55.4 | 4.56.0", "CACHE101 generate", healed="5.0.0"),
    row("AttributeError: 'NoneType' object has no attribute 'dtype'",
        "from a cache that is none of tuples", "4.55.4 | 4.56.0", "CACHE101 generate",
        is_pasted=False, healed="5.0.0"),
    row("KeyError: 'Cache only has 0 layers, attempted to access layer with index 0'",
        "the length of a tuple cache that has no layers", "4.53.3 | 4.54.0", "CACHE101 generate"),
    row("TypeError: expected Tensor as element 0 in argument 0, but got NoneType",
        "keys joined to a tuple cache", "4.55.4 | 4.56.0", "CACHE102 generate", healed="5.0.0"),
    row("TypeError: 'DynamicCache' object is not subscriptable",
        "an entry of the cache", "4.57.6 | 5.0.0", "CACHE103 generate"),
    row("AttributeError: 'DynamicCache' object has no attribute 'seen_tokens'",
        "seen_tokens", "4.53.3 | 4.54.0", "CACHE104 generate"),
    row("AttributeError: 'DynamicCache' object has no attribute 'get_max_length'",
        "get_max_length", "4.48.3 | 4.49.0", "CACHE105 generate", healed="5.13.0"),
    row("AttributeError: 'DynamicCache' object has no attribute 'get_usable_length'",
        "get_usable_length", "4.53.3 | 4.54.0", "CACHE106 generate"),
    row("AttributeError: 'DynamicCache' object has no attribute 'to_legacy_cache'",
        "to tuples", "4.57.6 | 5.0.0", "CACHE107 generate"),
    row("AttributeError: type object 'DynamicCache' has no attribute 'from_legacy_cache'",
        "from tuples", "4.57.6 | 5.0.0", "CACHE107 forward"),
    # Calls
    row("TypeError: DynamicCache.__init__() got an unexpected keyword argument "
        "'num_hidden_layers'", "a cache of a number of layers", "4.55.4 | 4.56.0",
        "SIG102 forward", since=None),
)  # fmt: skip
IDS = [f"{each.error[:60]} ({each.example}, {each.sides[1]})" for each in TABLE]


def found(example: Example, version: str) -> tuple[Finding, ...]:
    given: dict[str, Any] = {**example.code, "config": example.config}
    return examine(checkpoint(**given), environment(version, **example.packages))


def of_row(breakage: Breakage, version: str) -> list[Finding]:
    """What is found of a row on a release: its code with its exception."""
    return [
        each
        for each in found(BY_NAME[breakage.example], version)
        if (each.code, each.exception) == (breakage.code, breakage.exception)
        and _is_about(breakage, each)
    ]


def _is_about(breakage: Breakage, finding: Finding) -> bool:
    """Of imports, the name that is gone tells one from another."""
    name = breakage.error.partition("cannot import name '")[2].partition("'")[0]
    return name in finding.cause


@pytest.mark.parametrize("breakage", TABLE, ids=IDS)
def test_a_breakage_is_found_from_its_first_release_on_and_not_on_the_one_before(
    breakage: Breakage,
) -> None:
    before, first = breakage.sides
    assert of_row(breakage, before) == []
    (finding,) = of_row(breakage, first)
    assert (finding.stage, finding.since) == (breakage.stage, breakage.since)
    assert finding.where.line is not None
    assert finding.hint


@pytest.mark.parametrize("breakage", TABLE, ids=IDS)
def test_no_release_lies_between_the_sides(breakage: Breakage) -> None:
    before, first = (versions().index(Version(each)) for each in breakage.sides)
    assert abs(first - before) == 1


@pytest.mark.parametrize(
    "breakage", [each for each in TABLE if each.healed], ids=lambda each: each.error[:60]
)
def test_a_breakage_that_a_release_mended_is_found_to_the_one_before_it(
    breakage: Breakage,
) -> None:
    place = versions().index(Version(str(breakage.healed)))
    assert of_row(breakage, str(versions()[place])) == []
    assert of_row(breakage, str(versions()[place - 1]))


@pytest.mark.parametrize(
    "breakage", [each for each in TABLE if each.exception and each.is_pasted], ids=lambda e: e.error
)
def test_the_error_of_a_breakage_is_explained_by_the_code_that_predicts_it(
    breakage: Breakage,
) -> None:
    _, (match, *_rest) = explain(breakage.error)
    assert match.code == breakage.code
    # A release that was withdrawn is not in the index.
    first = {None, "4.57.0", *(each.since for each in TABLE if each.code == breakage.code)}
    assert match.since in first | {rule.since for rule in RULES if rule.code == breakage.code}


def test_every_example_that_breaks_on_some_releases_alone_is_a_row() -> None:
    both = {each.name for each in EXAMPLES if len({bool(codes) for _, codes in each.rows}) == 2}
    assert both <= {each.example for each in TABLE}


# What breaks on every release: beside it, what is there.
WHOLE: dict[str, Any] = {
    "config.json": {
        "model_type": "x",
        "auto_map": {
            "AutoConfig": "configuration_x.XConfig",
            "AutoModelForCausalLM": "modeling_x.XForCausalLM",
        },
    },
    "tokenizer.json": {"model": {"type": "WordLevel", "vocab": {"a": 0}}},
    "configuration_x.py": config(),
    "modeling_x.py": model()["modeling"],
}
LAZY = model(imports="def rotate(x):\n    from einops import rearrange\n\n    return rearrange(x)")
EVERYWHERE: tuple[tuple[str, str, dict[str, Any], dict[str, str]], ...] = (
    ("OSError: /m does not appear to have a file named modeling_x.py", "DIR112 import",
     {"modeling_x.py": None}, {}),
    ("ImportError: This modeling file requires the following packages that were not found in your "
     "environment: einops", "ENV102 import", {"modeling_x.py": LAZY["modeling"]},
     {"einops": "0.8.1"}),
    ("AttributeError: type object 'XConfig' has no attribute 'register_for_auto_class'",
     "CFG105 config", {"configuration_x.py": PLAIN_CONFIG}, {}),
    ("ModuleNotFoundError: No module named 'torch._six'", "IMP104 import",
     {"modeling_x.py": model(imports="from torch._six import inf")["modeling"]},
     {"torch": "1.13.1"}),
)  # fmt: skip


@pytest.mark.parametrize("version", ["4.27.4", "4.41.2", "4.57.6", "5.23.0"])
@pytest.mark.parametrize(("error", "told", "files", "packages"), EVERYWHERE)
def test_what_breaks_on_every_release_is_found_where_something_is_missing(
    tmp_path: Path,
    version: str,
    error: str,
    told: str,
    files: dict[str, Any],
    packages: dict[str, str],
) -> None:
    def errors(given: dict[str, Any], **more: str) -> list[Finding]:
        kept = {name: text for name, text in given.items() if text is not None}
        whole = read(tmp_path, kept)
        return [each for each in examine(whole, environment(version, **more))
                if told.endswith(each.stage) and each.severity == "error"]  # fmt: skip

    (finding,) = errors({**WHOLE, **files})
    assert f"{finding.code} {finding.stage}" == told
    assert finding.exception == error.partition(":")[0]
    assert finding.since is None
    assert explain(error)[1][0].code == finding.code
    mended = {**WHOLE, **files} if packages else WHOLE
    assert errors(mended, **packages) == []
