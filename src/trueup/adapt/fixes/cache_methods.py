"""Methods of the library's cache under the names that they have now."""

from __future__ import annotations

import ast

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

LENGTH, USABLE = "get_max_length", "get_usable_length"
LAYER = "layer_idx"
FROM, TO = "from_legacy_cache", "to_legacy_cache"


def _is_cache(owner: str) -> bool:
    """Whether an expression is named as caches are; others may have a length of their own."""
    name = owner.rpartition(".")[2].lower()
    return "past" in name or "cache" in name


class CacheMethods(Fix):
    """The model's code calls methods of the cache that were renamed or taken away.

    `get_max_length` is `get_max_cache_shape`, `get_usable_length` went with 4.56, the conversions
    from and to tuples with 5.0.
    """

    name = "cache-methods"
    answers = ("CACHE105", "CACHE106", "CACHE107")
    does = "the cache is asked by its methods' present names, and is not converted to tuples"
    since = "4.49.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code calls one of them on something."""
        return any(
            isinstance(node, ast.Attribute)
            and (
                node.attr in (USABLE, FROM, TO)
                or (node.attr == LENGTH and _is_cache(ast.unparse(node.value)))
            )
            for module in facts.code.modules.values()
            for node in module.nodes
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Call what there is."""
        import libcst as cst
        import libcst.matchers as m

        def code(node: cst.CSTNode) -> str:
            return cst.Module([]).code_for_node(node)

        class Change(cst.CSTTransformer):
            def leave_Call(
                self, original_node: cst.Call, updated_node: cst.Call
            ) -> cst.BaseExpression:
                function = updated_node.func
                if not isinstance(function, cst.Attribute):
                    return updated_node
                owner, name = code(function.value), function.attr.value
                given = [code(each.value) for each in updated_node.args]
                if name == LENGTH and not given and _is_cache(owner):
                    return cst.parse_expression(f"_cache_limit({owner})")
                if name == USABLE:
                    named = {
                        each.keyword.value: code(each.value)
                        for each in updated_node.args
                        if each.keyword is not None
                    }
                    second = given[1] if len(given) > 1 and not named else "0"
                    layer = named.get(LAYER, second)
                    return cst.parse_expression(f"{owner}.get_seq_length({layer})")
                if name == FROM and m.matches(function.value, m.Name("DynamicCache")):
                    return cst.parse_expression(f"_cache_of({', '.join(given) or 'None'})")
                if name == TO and not given:
                    return function.value
                return updated_node

        for path in sorted(sources.texts):
            if sources.edit(path, Change()):
                sources.add_top(path, FUNCTIONS)


FUNCTIONS = """def _cache_limit(cache):
    limit = cache.get_max_cache_shape()
    return None if limit is not None and limit < 0 else limit


def _cache_of(layers):
    from transformers.cache_utils import Cache, DynamicCache

    if isinstance(layers, Cache):
        return layers
    cache = DynamicCache()
    for index, (keys, values) in enumerate(layers or ()):
        cache.update(keys, values, index)
    return cache
"""
