"""KV caches kept as tuples of tensors, where `generate` now passes a cache object."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.code import Function, first
from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule

# What remote code calls its cache; these are parameters that `generate` fills, directly or not.
CACHE_NAMES = frozenset({"past_key_values", "past_key_value", "layer_past", "kv_cache", "past"})
# These get their cache from their own loop, not from `generate`.
OWN_LOOPS = frozenset({"chat", "stream_chat", "stream_generate"})
CACHE_CLASSES = frozenset({"Cache", "DynamicCache"})


class TupleCacheMeetsEmptyLayers(Rule):
    """The model's code takes the shape of its cache's first tensor.

    Since 4.56.0 `generate` passes a cache object whose layers are empty at first: it is true, and
    its first entry is None: `'NoneType' object has no attribute 'shape'`, in `get_masks` as a
    rule. Ask whether the entry is None.
    """

    code = "CACHE101"
    stage = "generate"
    since = "4.56.0"
    superseded = "5.0.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for module, function in _cached_functions(facts):
            node = first(function, _is_shape_of_entry)
            if node is not None:
                yield self.found(
                    f"`{function.name}` reads `{ast.unparse(node)}`, and the new cache's first "
                    "entry is None until a token has gone through",
                    where=Where(path=module.path, line=getattr(node, "lineno", None)),
                    hint="treat a cache whose first entry is None as no cache",
                )
                return


def _is_shape_of_entry(node: ast.AST) -> bool:
    """`past_key_values[0][0].shape`, or `.size(...)` of it."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("shape", "size"):
        return False
    inner = node.value
    depth = 0
    while isinstance(inner, ast.Subscript):
        inner, depth = inner.value, depth + 1
    return depth > 0 and isinstance(inner, ast.Name) and inner.id in CACHE_NAMES


class TupleCacheIsJoined(Rule):
    """The model's attention joins its cached keys to the new ones with `torch.cat`.

    Since 4.56.0 the cached keys are None at the first token: `expected Tensor as element 0 in
    argument 0, but got NoneType`. Join only where there is something to join.
    """

    code = "CACHE102"
    stage = "generate"
    since = "4.56.0"
    superseded = "5.0.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for module, function in _cached_functions(facts):
            names = CACHE_NAMES | _taken_from_cache(function)
            node = first(function, lambda each, names=names: _is_join_of(each, names))  # type: ignore[misc]
            if node is not None:
                yield self.found(
                    f"`{ast.unparse(node)}` joins the cache to the new keys, and the new "
                    "cache's entries are None at the first token",
                    where=Where(path=module.path, line=getattr(node, "lineno", None)),
                    hint="treat a cache whose first entry is None as no cache",
                )
                return


def _taken_from_cache(function: Function) -> set[str]:
    """Names that the cache is taken apart into, as in `cache_k, cache_v = kv_cache`."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _mentions(node.value, CACHE_NAMES):
            for target in node.targets:
                names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names - CACHE_NAMES


def _is_join_of(node: ast.AST, names: frozenset[str] | set[str]) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr not in ("cat", "concat") or not node.args:
        return False
    joined = node.args[0]
    if not isinstance(joined, ast.Tuple | ast.List) or len(joined.elts) != 2:
        return False
    leading = joined.elts[0]
    while isinstance(leading, ast.Subscript):
        leading = leading.value
    return isinstance(leading, ast.Name) and leading.id in names


class TupleCacheIsIndexed(Rule):
    """The model's code indexes its cache, which is a tuple to it.

    Since 5.1.0 `generate` passes a cache object that cannot be indexed (5.0 passes none):
    `'DynamicCache' object is not subscriptable`. Convert it where `generate` hands it over.
    """

    code = "CACHE103"
    stage = "generate"
    since = "5.1.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for module, function in _cached_functions(facts):
            node = first(function, _is_indexing)
            if node is not None:
                yield self.found(
                    f"`{function.name}` indexes its cache, and the cache object of "
                    "transformers 5 cannot be indexed",
                    where=Where(path=module.path, line=getattr(node, "lineno", None)),
                    hint="convert the cache to tuples where `generate` hands it over",
                )
                return


def _is_indexing(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "past_key_values"
        and isinstance(node.ctx, ast.Load)
    )


def _cached_functions(facts: Facts) -> Iterator[tuple[RemoteModule, Function]]:
    """Functions that take a cache from `generate`, in modules that know only tuples."""
    code = facts.code
    if code.method(code.model, "prepare_inputs_for_generation") is None:
        return
    for path in dict.fromkeys(owner.module.path for owner in code.ancestry(code.model)):
        module = code.modules[path]
        if module.tree is None or _knows_cache_objects(module.tree):
            continue
        functions = [node for node in ast.walk(module.tree) if isinstance(node, Function)]
        for function in sorted(functions, key=_place_in_the_pass):
            arguments = {
                each.arg for each in (*function.args.args, *function.args.kwonlyargs)
            } & CACHE_NAMES
            if arguments and function.name not in OWN_LOOPS:
                yield module, function


def _place_in_the_pass(function: Function) -> tuple[bool, int]:
    """Masks are made before the layers run."""
    return function.name != "get_masks", function.lineno


def _knows_cache_objects(tree: ast.Module) -> bool:
    return any(
        alias.name in CACHE_CLASSES
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


def _mentions(root: ast.AST, names: frozenset[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(root))


RULES: tuple[Rule, ...] = (
    TupleCacheMeetsEmptyLayers(),
    TupleCacheIsJoined(),
    TupleCacheIsIndexed(),
)
