"""The chat format of an InternLM checkpoint, read from its shipped `build_inputs`; never run.

Releases of the family differ in it, under one model type. Code that is not understood gives None.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from trueup.adapt.native.llama_code import modeling_nodes
from trueup.adapt.native.piece_chat import BEGIN, Rounds
from trueup.checkpoint.checkpoint import Checkpoint

FUNCTION = "build_inputs"
PROMPT = "prompt"


def read_rounds(checkpoint: Checkpoint) -> Rounds | None:
    """How the shipped code writes questions and answers down."""
    functions = [
        node
        for node in modeling_nodes(checkpoint)
        if isinstance(node, ast.FunctionDef) and node.name == FUNCTION
    ]
    return _rounds(functions[0]) if len(functions) == 1 else None


def _rounds(function: ast.FunctionDef) -> Rounds | None:
    record = query = system = None
    asks_tokenizer = False
    for node in function.body:
        if isinstance(node, ast.For) and ast.unparse(node.iter) == "history":
            record = _template(node.body, ("record[0]", "record[1]"))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "meta_instruction":
            system = _template(node.body, ("meta_instruction",))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "tokenizer.add_bos_token":
            asks_tokenizer = True
        elif isinstance(node, ast.AugAssign):
            query = _template([node], ("query",))
    if record is None or query is None:
        return None
    begins_each = record[0].startswith(BEGIN)
    question = record[0].removeprefix(BEGIN)
    if begins_each == asks_tokenizer or query != (question, record[1]):
        return None
    if "meta_instruction" in {each.arg for each in function.args.args} and system is None:
        return None
    return Rounds(
        question=question,
        answer=record[1],
        end=record[2],
        system=(system[0], system[1]) if system is not None else None,
        begins_each=begins_each,
    )


def _template(body: Iterable[ast.stmt], fields: tuple[str, ...]) -> tuple[str, ...] | None:
    """The texts around `fields` in the one `prompt += f"..."` of a body."""
    added = [node for node in body if isinstance(node, ast.AugAssign)]
    if len(added) != 1 or ast.unparse(added[0].target) != PROMPT:
        return None
    value = added[0].value
    if not isinstance(value, ast.JoinedStr):
        return None
    texts, found = [""], []
    for part in value.values:
        if isinstance(part, ast.Constant):
            texts[-1] += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            found.append(ast.unparse(part.value))
            texts.append("")
    return tuple(texts) if tuple(found) == fields else None
