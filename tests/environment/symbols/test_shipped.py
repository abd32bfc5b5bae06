"""The indexes that ship: what the catalogue of breakages says of versions is what they say."""

import pytest
from packaging.version import Version

from trueup.environment.packages import read_environment
from trueup.environment.symbols import shipped
from trueup.environment.symbols.facts import FunctionFacts, ModuleFacts
from trueup.environment.symbols.symbols import (
    Symbols,
    installed_symbols,
    lifetime,
    shipped_symbols,
    versions,
)

LARGEST_BYTES = 1_500_000
CACHE = "transformers.cache_utils.DynamicCache"
LLAMA = "transformers.models.llama.modeling_llama"
MODEL = "transformers.PreTrainedModel"


def at(version: str, library: str = "transformers") -> Symbols:
    found = shipped_symbols(Version(version), library)
    assert found is not None
    assert found.is_exact
    return found


def function(symbols: Symbols, dotted: str) -> FunctionFacts:
    found = symbols.resolve(dotted)
    assert isinstance(found, FunctionFacts)
    return found


def test_the_indexes_are_small_enough_for_the_wheel() -> None:
    sizes = [shipped.path(library).stat().st_size for library in ("transformers", "torch")]
    assert sum(sizes) <= LARGEST_BYTES


def test_every_minor_release_is_indexed() -> None:
    minors = {version.release[:2] for version in versions()}
    assert {(4, minor) for minor in range(27, 58)} <= minors
    newest = max(minors)
    assert {(5, minor) for minor in range(newest[1] + 1)} <= minors
    assert Version("5.23.0") in versions()


@pytest.mark.parametrize("module", ["cache_utils", "modeling_utils", "generation.utils", "utils"])
def test_the_index_says_of_the_installed_version_what_its_source_says(module: str) -> None:
    installed = installed_symbols(read_environment())
    assert installed is not None
    own, kept = (
        symbols.module(f"transformers.{module}")
        for symbols in (installed, at(str(installed.version)))
    )
    assert isinstance(own, ModuleFacts)
    assert isinstance(kept, ModuleFacts)
    assert dict(own.exports) == dict(kept.exports)
    assert dict(own.functions) == dict(kept.functions)
    for name, owner in own.classes.items():
        assert owner.bases == kept.classes[name].bases
        assert owner.attributes == kept.classes[name].attributes
        assert dict(owner.methods) == dict(kept.classes[name].methods)


@pytest.mark.parametrize(
    ("dotted", "last", "gone"),
    [
        (f"{CACHE}.seen_tokens", "4.53.3", "4.54.0"),
        (f"{CACHE}.get_max_length", "4.48.3", "4.49.0"),
        (f"{CACHE}.get_usable_length", "4.53.3", "4.54.0"),
        (f"{CACHE}.to_legacy_cache", "4.57.6", "5.0.0"),
        (f"{CACHE}.from_legacy_cache", "4.57.6", "5.0.0"),
        (f"{CACHE}.__getitem__", "4.57.6", "5.0.0"),
        (f"{MODEL}.generate", "4.51.3", "4.52.1"),
        (f"{MODEL}.get_head_mask", "4.57.6", "5.0.0"),
        (f"{MODEL}.get_extended_attention_mask", "5.16.1", "5.17.0"),
        (f"{MODEL}._extract_past_from_model_output", "4.48.3", "4.49.0"),
        ("transformers.utils.import_utils.is_torch_fx_available", "4.57.6", "5.0.0"),
        (f"{LLAMA}.LlamaFlashAttention2", "4.47.1", "4.48.0"),
        (f"{LLAMA}._expand_mask", "4.37.2", "4.38.0"),
        ("transformers.models.bloom.modeling_bloom._expand_mask", "4.34.1", "4.35.0"),
        ("transformers.DisjunctiveConstraint", "4.57.6", "5.0.0"),
        ("transformers.BeamSearchScorer", "4.56.2", "4.57.1"),
        ("transformers.pytorch_utils.is_torch_greater_or_equal_than_1_13", "4.47.1", "4.48.0"),
        ("transformers.generation.utils.GenerationMixin._get_logits_warper", "4.44.2", "4.45.0"),
        ("transformers.deepspeed", "4.45.2", "4.46.1"),
        ("torch._six", "1.13.1", "2.0.1"),
    ],
)
def test_a_name_that_is_gone_was_there_in_the_release_before(
    dotted: str, last: str, gone: str
) -> None:
    library = dotted.partition(".")[0]
    assert at(last, library).has(dotted)
    assert not at(gone, library).has(dotted)
    found = lifetime(dotted, Version(gone))
    assert found is not None
    assert (found.is_there, found.since) == (False, Version(gone))


def test_what_came_back_within_two_patch_releases_is_seen() -> None:
    found = lifetime(
        "transformers.pytorch_utils.is_torch_greater_or_equal_than_1_13", Version("4.48.0")
    )
    assert found is not None
    assert (found.since, found.until) == (Version("4.48.0"), Version("4.48.2"))


@pytest.mark.parametrize(
    "dotted",
    [
        "transformers.AutoConfig",
        "transformers.AutoModelForCausalLM",
        "transformers.PretrainedConfig",
        "transformers.PreTrainedTokenizer",
        "transformers.PreTrainedTokenizerFast",
        "transformers.GenerationConfig",
        "transformers.modeling_outputs.CausalLMOutputWithPast",
        "transformers.utils.logging.get_logger",
        "transformers.activations.ACT2FN",
        "transformers.tokenization_utils.AddedToken",
        "transformers.tokenization_utils_fast.PreTrainedTokenizerFast",
        "transformers.generation.logits_process.LogitsProcessor",
        f"{MODEL}.from_pretrained",
        f"{MODEL}.post_init",
    ],
)
def test_what_remote_code_always_finds_is_there_in_every_version(dotted: str) -> None:
    found = lifetime(dotted, versions()[-1])
    assert found is not None
    assert found.is_there
    assert found.since is None


@pytest.mark.parametrize(("version", "passes"), [("4.44.2", False), ("4.45.0", True)])
def test_pad_passes_the_side_since_4_45(version: str, passes: bool) -> None:
    pad = function(at(version), "transformers.PreTrainedTokenizerBase.pad")
    calls = [call for call in pad.self_calls if call.name == "_pad"]
    assert calls
    assert {"padding_side" in call.keywords for call in calls} == {passes}


@pytest.mark.parametrize(("version", "reads"), [("4.53.3", False), ("4.56.0", True)])
def test_a_cache_reads_the_number_of_layers_since_4_56(version: str, reads: bool) -> None:
    init = function(at(version), f"{CACHE}.__init__")
    of_config = [step.name for step in init.steps if step.kind == "config"]
    assert ("num_hidden_layers" in of_config) is reads


@pytest.mark.parametrize(("version", "sets"), [("4.57.6", False), ("5.0.0", True)])
def test_post_init_sets_the_tied_keys_since_5(version: str, sets: bool) -> None:
    assert (
        "all_tied_weights_keys" in function(at(version), f"{MODEL}.post_init").self_sets
    ) is sets


def test_a_tokenizer_adds_tokens_in_its_constructor_after_the_base() -> None:
    steps = function(at("4.56.2"), "transformers.PreTrainedTokenizer.__init__").steps
    names = [(step.kind, step.name) for step in steps]
    assert names.index(("super_call", "__init__")) < names.index(("call", "_add_tokens"))


@pytest.mark.parametrize(
    ("dotted", "since"),
    [
        ("torch.compile", "2.0.1"),
        ("torch.nn.functional.scaled_dot_product_attention", "2.0.1"),
        ("torch.nn.RMSNorm", "2.4.1"),
        ("torch.nn.attention.flex_attention", "2.5.1"),
        ("torch.accelerator", "2.6.0"),
    ],
)
def test_names_of_torch_have_their_first_release(dotted: str, since: str) -> None:
    found = lifetime(dotted, Version("2.13.0"))
    assert found is not None
    assert (found.is_there, found.since) == (True, Version(since))


def test_old_names_of_compiled_torch_are_there() -> None:
    symbols = at("2.13.0", "torch")
    for name in ("cuda.FloatTensor", "FloatTensor", "bfloat16", "Tensor.view", "nn.Module.to"):
        assert symbols.has(f"torch.{name}"), name
    assert not symbols.has("torch.nosuchname")
