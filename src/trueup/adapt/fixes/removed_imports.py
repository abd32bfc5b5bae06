"""Names that the library took away, where something simple stands in for them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.finding import Finding

if TYPE_CHECKING:
    import libcst as cst

FALSE = "def {name}(*args, **kwargs):\n    return False\n"
TRUE = "def {name}(*args, **kwargs):\n    return True\n"
PLAIN_DECORATOR = "def {name}(*args, **kwargs):\n    return lambda function: function\n"
# For what only a search of the model's own makes; nothing is an instance of it.
REFUSED = (
    "class {name}:\n    def __init__(self, *args, **kwargs):\n"
    '        raise ImportError("transformers no longer has `{name}`, which this function needs")\n'
)
# `name` -> what stands in for it. Versions of torch that old are not supported by any release
# that lacks these.
SUBSTITUTES = {
    "is_torch_fx_available": FALSE,
    "is_torch_fx_proxy": FALSE,
    "is_torch_greater_or_equal_than_1_13": "{name} = True\n",
    "is_torch_available": TRUE,
    "is_tf_available": FALSE,
    "is_flax_available": FALSE,
    "is_flash_attn_available": FALSE,
    "is_flash_attn_greater_or_equal_2_10": FALSE,
    "add_start_docstrings": PLAIN_DECORATOR,
    "add_start_docstrings_to_model_forward": PLAIN_DECORATOR,
    "add_code_sample_docstrings": PLAIN_DECORATOR,
    "replace_return_docstrings": PLAIN_DECORATOR,
    "add_end_docstrings": PLAIN_DECORATOR,
    "LogitsWarper": "from transformers.generation import LogitsProcessor as {name}\n",
    "SampleOutput": "from transformers.generation import GenerateNonBeamOutput as {name}\n",
    "SampleDecoderOnlyOutput": (
        "from transformers.generation import GenerateDecoderOnlyOutput as {name}\n"
    ),
    "GreedySearchDecoderOnlyOutput": (
        "from transformers.generation import GenerateDecoderOnlyOutput as {name}\n"
    ),
    **dict.fromkeys(
        (
            "BeamScorer",
            "BeamSearchScorer",
            "BeamHypotheses",
            "ConstrainedBeamSearchScorer",
            "Constraint",
            "ConstraintListState",
            "DisjunctiveConstraint",
            "PhrasalConstraint",
        ),
        REFUSED,
    ),
    "Conv1D": "from transformers.pytorch_utils import Conv1D as {name}\n",
}


class RemovedImports(Fix):
    """The model's code imports a name that this transformers no longer has.

    Helpers have a simple stand-in. Classes of beam search, which only a search of the model's own
    needs, have one that raises where it is made: `generate` searches without them.
    """

    name = "removed-imports"
    answers = ("IMP101",)
    does = (
        "a name that transformers took away has a simple stand-in, or one that is an error once "
        "it is used"
    )

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code imports a name of the table from the library."""
        return any(
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").partition(".")[0] == "transformers"
            and any(alias.name in SUBSTITUTES for alias in node.names)
            for module in facts.code.modules.values()
            for node in module.nodes
        )

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Whether the name is one of the table's."""
        return finding.code in self.answers and any(
            f".{name}`" in finding.cause for name in SUBSTITUTES
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Import what there is, and define the rest."""
        sources.edit_all(_change)


def _change() -> cst.CSTTransformer:
    import libcst as cst

    class Change(cst.CSTTransformer):
        def leave_SimpleStatementLine(
            self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
        ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
            found = updated_node.body[0]
            if len(updated_node.body) != 1 or not isinstance(found, cst.ImportFrom):
                return updated_node
            if isinstance(found.names, cst.ImportStar) or found.relative:
                return updated_node
            source = cst.Module([]).code_for_node(found.module) if found.module else ""
            if source.partition(".")[0] != "transformers":
                return updated_node
            names = [(each.evaluated_name, each.evaluated_alias) for each in found.names]
            gone = [each for each in names if each[0] in SUBSTITUTES]
            if not gone:
                return updated_node
            kept = [each for each in names if each not in gone]
            text = ""
            if kept:
                text += f"from {source} import {', '.join(map(_named, kept))}\n"
            for name, alias in gone:
                own = SUBSTITUTES[name].format(name=alias or name)
                inner = "".join(f"    {line}\n" for line in own.splitlines())
                text += f"try:\n    from {source} import {_named((name, alias))}\n"
                text += f"except ImportError:\n{inner}"
            first, *rest = cst.parse_module(text).body
            first = first.with_changes(leading_lines=updated_node.leading_lines)
            return cst.FlattenSentinel([first, *rest])

    return Change()


def _named(name: tuple[str, str | None]) -> str:
    return f"{name[0]} as {name[1]}" if name[1] else name[0]
