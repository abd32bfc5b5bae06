"""Each rule about remote code: what breaks, what does not, both sides of each change."""

from typing import Any

import pytest
from packaging.version import Version

from tests.doctor.examples import EXAMPLES, HARMLESS, PLAIN_CONFIG, WAITS, Example
from tests.doctor.facts import checkpoint, environment
from tests.doctor.models import Code, config, model, tokenizer
from trueup.checkpoint.checkpoint import Checkpoint, Problem
from trueup.doctor import rule
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.matrix import minors
from trueup.doctor.rules import comparison
from trueup.doctor.walk.generation import Generation
from trueup.errors import CheckpointError

SIDES = [(example, *row) for example in EXAMPLES for row in example.rows]
VERSIONS = ("4.34.1", "4.41.2", "4.44.2", "4.49.0", "4.53.3", "4.56.0", "4.57.6", "5.0.0", "5.23.0")
LENGTH = "if past_key_values is not None:\n    n = past_key_values[0][0].shape[2]"


def of_code(code: Code, **more: Any) -> Checkpoint:
    return checkpoint(**{**code, **more})


def found(code: Code, version: str, **more: Any) -> tuple[Finding, ...]:
    return examine(of_code(code, **more), environment(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_healthy_model_has_no_finding(version: str) -> None:
    assert found({**model(), **tokenizer()}, version) == ()


@pytest.mark.parametrize("version", minors(), ids=str)
def test_a_healthy_model_has_no_error_on_any_release(version: Version) -> None:
    met = found({**model(), **tokenizer()}, str(version))
    assert [each for each in met if each.severity != "info"] == []


@pytest.mark.parametrize(
    ("example", "version", "codes"),
    SIDES,
    ids=[f"{example.name} on {version}" for example, version, _ in SIDES],
)
def test_what_breaks_is_found_where_it_breaks(example: Example, version: str, codes: str) -> None:
    facts = of_code(example.code, config=example.config)
    findings = examine(facts, environment(version, **example.packages))
    assert " ".join(finding.code for finding in findings) == codes
    # What becomes of another finding, and what is met only by who saves the model.
    warnings = {"GEN107", "LOAD110"}
    assert all((each.severity == "warning") == (each.code in warnings) for each in findings)
    assert all(str(finding.where) for finding in findings)


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.name for each in EXAMPLES])
def test_what_breaks_is_found_whoever_saved_the_model_last(example: Example) -> None:
    version, codes = next((row for row in reversed(example.rows) if row[1]), example.rows[-1])
    facts = of_code(example.code, config={**example.config, "transformers_version": version})
    findings = examine(facts, environment(version, **example.packages))
    assert " ".join(finding.code for finding in findings) == codes


@pytest.mark.parametrize(
    ("code", "version"),
    [row[1:] for row in HARMLESS],
    ids=[f"{row[0]} on {row[2]}" for row in HARMLESS],
)
def test_what_only_looks_like_a_break_is_none(code: Code, version: str) -> None:
    assert found(code, version) == ()


def test_findings_say_file_and_line_and_block_the_fixed_route_only() -> None:
    code = model(forward=LENGTH)
    (finding,) = found(code, "4.56.0")
    assert finding.where.path == "modeling_x.py"
    assert finding.where.line is not None
    assert "past_key_values[0][0].shape" in code["modeling"].splitlines()[finding.where.line - 1]
    assert (finding.exception, finding.function) == ("AttributeError", "XModel.forward")
    assert finding.blocks == ("fixed",)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("n_layer", 'add `attribute_map = {"num_hidden_layers": "n_layer"}` to the config class'),
        ("depths_of_it", "set `num_hidden_layers` in config.json or in the config class"),
    ],
)
def test_the_layer_count_is_mapped_to_a_name_that_the_config_has(name: str, hint: str) -> None:
    code = model(config(attribute=""))
    renamed = {path: source.replace("num_layers", name) for path, source in code.items()}
    (finding,) = found(renamed, "4.56.0")
    assert finding.code == "CFG101"
    assert (finding.hint or "").startswith(hint)


def test_what_is_not_in_the_traceback_has_a_place_but_no_function() -> None:
    (finding,) = found(tokenizer(side=""), "4.56.0")
    assert finding.where.path == "tokenization_x.py"
    assert finding.where.line is not None
    assert (finding.exception, finding.function) == ("TypeError", None)


def test_one_root_cause_is_an_error_of_a_stage_and_what_is_behind_it_a_warning() -> None:
    init = "self.a = config.max_length\nself.b = config.no_such_size"
    first, second, third = found(model(init=init, forward=LENGTH), "5.23.0")
    assert (first.code, first.severity, first.stage) == ("CFG102", "error", "init")
    assert (second.code, second.severity, second.stage) == ("CFG104", "warning", "init")
    assert "`config.no_such_size`" in second.cause
    assert second.cause.endswith("once what comes before it is mended")
    assert second.blocks == first.blocks
    assert (third.code, third.severity, third.stage) == ("CACHE103", "error", "generate")


def test_a_model_behind_a_configuration_that_cannot_be_imported_is_a_warning() -> None:
    gone = "from transformers import BeamSearchScorer\n"
    code = model(imports=gone)
    first, second = found({**code, "configuration": gone + code["configuration"]}, "5.23.0")
    assert (first.code, first.severity, str(first.where)) == (
        "IMP101", "error", "configuration_x.py:1",
    )  # fmt: skip
    assert (second.code, second.severity) == ("IMP101", "warning")


def test_a_file_of_auto_map_that_is_not_there_is_told_once_with_its_exception() -> None:
    met = Problem(kind="absent", path="modeling_y.py", detail="asked for by config.json")
    code = of_code(
        {"configuration": config()},
        auto_map={"AutoConfig": "configuration_x.XConfig", "AutoModel": "modeling_y.Y"},
        problems=(met,),
    )
    (finding,) = examine(code, environment("5.23.0"))
    assert (finding.code, finding.exception) == ("DIR112", "OSError")


def test_a_stream_that_ends_whatever_happens_does_not_hang() -> None:
    ends = WAITS.replace(
        "        answers.put(self.generate(input_ids))\n        answers.put(None)",
        "        try:\n            answers.put(self.generate(input_ids))\n"
        "        finally:\n            answers.put(None)",
    )
    assert ends != WAITS
    for stream, codes in ((WAITS, ["CACHE103", "GEN107"]), (ends, ["CACHE103"])):
        code = model(imports="import queue\nimport threading", methods=stream, forward=LENGTH)
        assert [each.code for each in found(code, "5.23.0")] == codes


@pytest.mark.parametrize(
    "line",
    [
        "module.weight.data.normal_()",
        "module.weight.data = torch.randn(2, 2)",
        "nn.init.zeros_(module.weight.data)",
        "module.bias.zero_()",
        "module.inner.weight.normal_()",
    ],
)
def test_every_way_of_writing_into_loaded_weights_is_found(line: str) -> None:
    method = (
        f"def _init_weights(self, module):\n    if isinstance(module, nn.Linear):\n        {line}"
    )
    (finding,) = found(model(pretrained=method), "5.1.0")
    assert (finding.code, finding.severity, finding.until) == ("LOAD109", "error", "5.2.0")
    (rare,) = found(model(pretrained=method.replace("nn.Linear", "nn.Conv1d")), "5.1.0")
    assert (rare.code, rare.severity) == ("LOAD109", "warning")


def test_a_buffer_that_the_forward_pass_makes_is_not_lost() -> None:
    body = 'self.register_buffer("mask", torch.ones(2), persistent=False)'
    assert found(model(body=body), "5.23.0") == ()


def test_behind_what_the_library_refuses_nothing_is_claimed() -> None:
    code = {**model(forward=LENGTH), "configuration": PLAIN_CONFIG}
    assert [each.code for each in found(code, "5.23.0")] == ["CFG105"]


def test_what_may_fail_is_a_warning_that_blocks_nothing() -> None:
    code = model(body="if torch.cuda.is_available():\n    n = self.config.max_length")
    (finding,) = found(code, "5.23.0")
    assert (finding.code, finding.severity, finding.blocks) == ("CFG102", "warning", ())


def test_whether_there_is_a_cache_is_not_known_where_the_settings_are_not() -> None:
    length = "n = past_key_values[0][0].shape[2] if past_key_values else 0"
    code = model(config(lines="kwargs = self.__dict__"), forward=length)
    facts = of_code(code, config={"model_type": "x", "use_cache": False})
    (finding,) = examine(facts, environment("4.57.6"))
    assert (finding.code, finding.severity) == ("CACHE101", "warning")


def test_saving_is_not_spoken_of_where_tied_keys_keep_a_model_from_being_made() -> None:
    code = model(head='_tied_weights_keys = ["lm_head.weight"]', inner="n = config.max_length")
    facts = of_code(code, config={"model_type": "x", "tie_word_embeddings": True})
    found = examine(facts, environment("5.23.0"))
    assert [each.code for each in found] == ["CFG102", "LOAD105"]


def test_classes_and_methods_are_followed_into_other_files() -> None:
    code = model(
        imports="from .base import Base as B",
        bases="B, GenerationMixin",
    )
    base = (
        "from transformers import PreTrainedModel\n\n\n"
        "class Base(PreTrainedModel):\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        self.longest = config.max_length\n"
    )
    (finding,) = found(code, "5.0.0", more={"base.py": base})
    assert (finding.code, str(finding.where)) == ("CFG102", "base.py:7")


@pytest.mark.parametrize(("version", "codes"), [("4.57.6", []), ("5.1.0", ["SIG101"])])
def test_a_method_that_a_release_calls_with_more_is_found(version: str, codes: list[str]) -> None:
    methods = "def tie_weights(self):\n    self.lm_head.weight = self.model.embed.weight"
    assert [each.code for each in found(model(methods=methods), version)] == codes
    taken = methods.replace("(self)", "(self, **kwargs)")
    assert found(model(methods=taken), version) == ()


NUMBER = "transformers.__version__.split('.')[1]"


@pytest.mark.parametrize(
    ("line", "packages", "library"),
    [
        (f"NEW = int({NUMBER}) >= 36", {}, "transformers"),
        ("NEW = version.parse(transformers.__version__).minor >= 36", {}, "transformers"),
        ("NEW = version.parse(torch.__version__).release[1] >= 12", {"torch": "2.8.0"}, "torch"),
        ("NEW = version.parse(torch.__version__).release[:2] >= (1, 12)", {}, None),
        ("NEW = int(torch.__version__.split('.')[1]) >= 12", {"torch": "2.8.0"}, "torch"),
        ("NEW = int(torch.__version__.split('.')[1]) >= 12", {"torch": "1.13.1"}, None),
        ("from transformers import __version__ as v\nNEW = v.split('.')[1] > '36'", {},
         "transformers"),
        ("NEW = version.parse(transformers.__version__) >= version.parse('4.36')", {}, None),
        (f"NEW = transformers.__version__[0] > '4' or int({NUMBER}) >= 36", {}, None),
        ("NEW = int(other.__version__.split('.')[1]) >= 36", {}, None),
    ],
)  # fmt: skip
def test_a_minor_number_that_is_compared_alone_is_found(
    line: str, packages: dict[str, str], library: str | None
) -> None:
    code = model(imports=f"import transformers\nfrom packaging import version\n{line}")
    findings = examine(of_code(code), environment("5.0.0", **packages))
    told = [each for each in findings if each.code == "CODE102"]
    assert [each.severity for each in told] == ["warning"] * (library is not None)
    if library is not None:
        assert f"the minor number of {library} is compared alone" in told[0].cause
        line = code["modeling"].splitlines()[(told[0].where.line or 0) - 1]
        assert line.startswith("NEW = ")


def test_a_missing_package_is_named_once_with_its_place() -> None:
    code = model(imports="import einops\nfrom einops import rearrange")
    (finding,) = found(code, "4.57.6")
    assert (finding.code, finding.where.line) == ("ENV102", 5)
    assert finding.hint == "pip install einops"
    assert examine(of_code(code), environment("4.57.6", einops="0.8")) == ()


def test_what_runs_in_a_loop_without_end_comes_to_an_end() -> None:
    code = model(forward="while True:\n    hidden = hidden + 1")
    assert found(code, "5.23.0") == ()


def test_a_walk_that_takes_too_long_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "WALK_SECONDS", -1.0)
    lines = "\n".join(f"a{each} = {each}" for each in range(600))
    (finding,) = found(model(imports=lines), "5.23.0")
    assert (finding.code, finding.severity) == ("CODE103", "info")


def test_a_bug_of_a_rule_or_of_the_walk_costs_nothing_of_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("odd")

    code = {**model(forward="hidden = hidden @ hidden"), **tokenizer(imports="import einops")}
    monkeypatch.setattr(Generation, "_on_binop", broken)
    monkeypatch.setattr(comparison.MinorComparedAlone, "check", broken)
    findings = found(code, "5.23.0")
    assert [each.code for each in findings] == ["ENV102", "CODE104", "CODE103"]
    assert "the rule CODE102" in findings[1].cause
    assert "LookupError: odd" in findings[1].cause
    assert "through `forward`" in findings[2].cause


def test_the_end_of_the_time_is_no_bug_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def over(*_: Any) -> Any:
        raise CheckpointError("the time is over")

    monkeypatch.setattr(Generation, "_on_binop", over)
    with pytest.raises(CheckpointError):
        found(model(forward="hidden = hidden @ hidden"), "5.23.0")


@pytest.mark.parametrize("version", ["4.33.3", "4.57.6"])
def test_a_name_that_a_file_binds_later_is_missed_on_every_release(version: str) -> None:
    code = model(imports="class A(B):\n    pass\n\n\nclass B:\n    pass")
    (finding,) = found(code, version)
    assert (finding.code, finding.stage, finding.exception) == ("CODE101", "import", "NameError")


def test_circular_bases_and_absent_classes_do_no_harm() -> None:
    modeling = (
        "import torch\nimport d\n\n\nclass A:\n    pass\n\n\nclass A(A):\n    pass\n\n\n"
        "class XForCausalLM(A, torch.nn.Module, d.E):\n    pass\n"
    )
    code = {"configuration": config(), "modeling": modeling, "tokenization": "x = 1\n"}
    assert [each.code for each in found(code, "5.23.0")] == ["ENV102"]
