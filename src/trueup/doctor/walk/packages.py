"""Packages that the library looks for before it runs a model's own code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Container

from packaging.version import Version

from trueup.doctor.walk.failure import Failure
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.walk import Walk

# The library parses the code since this release.
PARSED_SINCE = Version("4.51.0")
# … passes over imports behind a question for FlashAttention since this one, behind any question of
# its own since the next.
FLASH_SINCE = Version("4.45.0")
ASKED_SINCE = Version("4.52.1")
TRIED = re.compile(r"\s*try\s*:.*?except.*?:", re.S)
FLASH = re.compile(
    r"if is_flash_attn[a-zA-Z0-9_]+available\(\):\s*(from flash_attn\s*.*\s*)+", re.M
)
QUESTIONS = "transformers.utils.import_utils"
RELATIVE = re.compile(r"^\s*from\s+\.(\S+)\s+import", re.M)
IMPORT = re.compile(r"^\s*import\s+(\S+)\s*$", re.M)
FROM = re.compile(r"^\s*from\s+(\S+)\s+import", re.M)
# What other packages take from the library, at their import: they break with it.
NEEDS: dict[str, tuple[str, ...]] = {
    "transformers_stream_generator": (
        # In the order in which it asks for them.
        "transformers.DisjunctiveConstraint",
        "transformers.BeamSearchScorer",
    ),
}


def missing_packages(world: World, path: str) -> Failure | None:
    """The failure of the library's check of a module's imports; None where it passes.

    Of a local directory the library checks the module that is named, not those behind it.
    """
    walk = Walk(world)
    missing: dict[str, None] = {}
    for root in imported_packages(world, path):
        if root in ("transformers", ""):
            continue
        if not walk.is_installed(root):
            missing[root] = None
            continue
        for needed in NEEDS.get(root, ()):
            if world.symbols.resolve(needed) is None:
                name = needed.rpartition(".")[2]
                return Failure(
                    kind="package",
                    exception="ImportError",
                    message=f"cannot import name '{name}' from 'transformers'",
                    subject=root,
                    owner=name,
                )
    if not missing:
        return None
    told = ", ".join(missing)
    return Failure(
        kind="package",
        exception="ImportError",
        message="This modeling file requires the following packages that were not found in your "
        f"environment: {told}. Run `pip install {' '.join(missing)}`",
        subject=next(iter(missing)),
    )


def imported_packages(world: World, path: str) -> list[str]:
    """Packages that the library counts as needed, in the way of its version."""
    source = world.modules[path]
    if not world.is_at_least(PARSED_SINCE):
        flash = world.is_at_least(FLASH_SINCE)
        return _by_pattern(source.source, passes_flash=flash)
    found: dict[str, None] = {}
    questions = _Questions(world)
    for node, called in _imports(source.tree) if source.tree is not None else ():
        if _is_asked(called, questions):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.name.partition(".")[0]] = None
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found[node.module.partition(".")[0]] = None
    return list(found)


class _Questions(Container[str]):
    """Names of functions of the library behind whose calls it looks for no imports."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __contains__(self, name: object) -> bool:
        if not self._world.is_at_least(ASKED_SINCE):
            return False
        module = self._world.symbols.module(QUESTIONS)
        return module is not None and (name in module.exports or name in module.functions)


def missing_file(world: World, path: str) -> Failure | None:
    """The failure of copying the files that a module imports; None where all are there."""
    folder = path.rpartition("/")[0]
    for name in RELATIVE.findall(world.modules[path].source):
        file = f"{name.replace('.', '/')}.py" if not name.startswith(".") else ""
        full = f"{folder}/{file}" if folder else file
        if file and full not in world.modules and full not in world.files:
            return Failure(
                kind="import",
                exception="FileNotFoundError",
                message=f"No such file or directory: '{full}'",
                subject=full,
            )
    return None


def _by_pattern(text: str, *, passes_flash: bool) -> list[str]:
    """As the library looked before it parsed: `import x as y` is not seen, comments are."""
    text = TRIED.sub("", text)
    if passes_flash:
        text = FLASH.sub("", text)
    names = [*IMPORT.findall(text), *FROM.findall(text)]
    return list(dict.fromkeys(name.partition(".")[0] for name in names if name[0] != "."))


@functools.lru_cache(maxsize=256)
def _imports(root: ast.Module) -> tuple[tuple[ast.Import | ast.ImportFrom, frozenset[str]], ...]:
    """Imports outside of any `try`, each with the functions that are asked around it."""
    found: list[tuple[ast.Import | ast.ImportFrom, frozenset[str]]] = []
    pending: list[tuple[ast.AST, frozenset[str]]] = [(root, frozenset())]
    while pending:
        node, asked = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, asked))
        if isinstance(node, ast.If):
            asked |= _called(node.test)
        children = [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.Try)]
        pending += [(each, asked) for each in reversed(children) if not isinstance(each, ast.expr)]
    return tuple(found)


def _called(test: ast.expr) -> frozenset[str]:
    return frozenset(
        node.func.id
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )


def _is_asked(called: frozenset[str], questions: Container[str]) -> bool:
    return any(
        name in questions or (name.startswith("is_flash_attn") and name.endswith("available"))
        for name in called
    )
