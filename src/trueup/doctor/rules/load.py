"""Loading: what is missing in the environment, and constructors that current loaders break."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from packaging.version import Version

from trueup.doctor.code import first, is_self_attribute
from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule

# Modules that remote code of language models imports, and the packages that have them.
PACKAGE_OF_MODULE = {
    "sentencepiece": "sentencepiece",
    "tiktoken": "tiktoken",
    "einops": "einops",
    "transformers_stream_generator": "transformers-stream-generator",
    "timm": "timm",
    "torchvision": "torchvision",
}
# Names that transformers no longer has: (first without it, first with it again).
NAMES_GONE: dict[str, tuple[str, str | None]] = {
    "BeamSearchScorer": ("5.0.0", None),
    "DisjunctiveConstraint": ("5.0.0", None),
    "is_torch_fx_available": ("5.0.0", None),
    "is_torch_greater_or_equal_than_1_13": ("4.48.0", "4.48.1"),
    "LlamaFlashAttention2": ("4.48.0", None),
}
SAFE_TORCH = Version("2.6")


class PackageMissing(Rule):
    """The model's own code imports a package that is not installed.

    transformers refuses to load such code: `requires the following packages that were not found`;
    imports inside functions count too. Install the package.
    """

    code = "ENV102"
    stage = "import"
    evidence = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        packages = facts.environment.packages
        missing: dict[str, Where] = {}
        for path, module in facts.code.modules.items():
            for name, line in _imports(module.tree):
                package = PACKAGE_OF_MODULE.get(name)
                if package is not None and package not in packages:
                    missing.setdefault(package, Where(path=path, line=line))
        for package, where in missing.items():
            yield self.found(
                f"the model's code imports `{package}`, which is not installed",
                where=where,
                hint=f"pip install {package}",
            )


def _imports(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    """Top-level names of absolute imports; those inside `try` may fail and are left out."""
    pending: list[ast.AST] = [tree] if tree is not None else []
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.Try):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0], node.lineno
        pending += ast.iter_child_nodes(node)


class ImportGone(Rule):
    """The model's code imports a name that this transformers does not have.

    `cannot import name ...` at the first import. Copy what is needed of it into the model's code,
    or use a version that has it.
    """

    code = "IMP101"
    stage = "import"

    def check(self, facts: Facts) -> Iterable[Finding]:
        version = facts.environment.transformers
        if version is None:
            return
        for path, module in facts.code.modules.items():
            for name, line in _names_from_transformers(module.tree):
                since, until = NAMES_GONE[name]
                if version >= Version(since) and (until is None or version < Version(until)):
                    yield self.found(
                        f"`{name}` is imported from transformers, which has it no longer "
                        f"since {since}",
                        where=Where(path=path, line=line),
                    )


def _names_from_transformers(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transformers"):
            for alias in node.names:
                if alias.name in NAMES_GONE:
                    yield alias.name, node.lineno


class DtypeIsText(Rule):
    """The model's constructor hands `config.torch_dtype` to torch.

    In 4.49.x it is still text while the model is built: `empty(): argument 'dtype'
    must be torch.dtype, not str`. Pass `torch_dtype=` to `from_pretrained`.
    """

    code = "LOAD101"
    stage = "init"
    since = "4.49.0"
    until = "4.50.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not isinstance(facts.checkpoint.config.get("torch_dtype"), str):
            return
        code = facts.code
        for path in dict.fromkeys(owner.module.path for owner in code.ancestry(code.model)):
            tree = code.modules[path].tree
            use = _first_built(tree) if tree is not None else None
            if use is not None:
                yield self.found(
                    "`config.torch_dtype` goes into a constructor of torch while it is text",
                    where=Where(path=path, line=getattr(use, "lineno", None)),
                    hint="pass `torch_dtype=` to `from_pretrained`",
                )
                return


def _first_built(tree: ast.Module) -> ast.AST | None:
    """Where the dtype is used: the embedding is what a model builds first."""
    embedding = first(
        tree,
        lambda node: (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "Embedding"
            and first(node, _is_torch_dtype_of_config) is not None
        ),
    )
    return embedding or first(tree, _is_torch_dtype_of_config)


def _is_torch_dtype_of_config(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "torch_dtype"
        and isinstance(node.value, ast.Name)
        and node.value.id in ("config", "args")
    )


class PostInitNeverCalled(Rule):
    """The model's constructor does not call `self.post_init()`.

    Since 5.0.0 loading needs what it sets: `object has no attribute 'all_tied_weights_keys'`.
    Call it at the end of `__init__`.
    """

    code = "LOAD102"
    stage = "load"
    since = "5.0.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        start = code.method(code.model, "__init__")
        if start is None:
            return
        for owner in code.ancestry(code.model):
            if first(owner.node, _is_post_init) is not None:
                return
        yield self.found(
            f"`{start.owner.name}.__init__` never calls `self.post_init()`, and loading needs it",
            where=start.at(),
            hint="call `self.post_init()` at the end of `__init__`",
        )


def _is_post_init(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and is_self_attribute(node.func, "post_init")


class BufferLost(Rule):
    """The model keeps a table in a non-persistent buffer.

    transformers 5 builds models without memory and fills in what the files hold; such a buffer
    is not in the files, and remote code does not make it again: the model runs and answers
    wrongly, without an error. Recompute it in `_init_weights`, or compare logits before trusting
    the model.
    """

    code = "LOAD103"
    stage = "forward"
    since = "5.0.0"
    evidence = "reported"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        for path in dict.fromkeys(owner.module.path for owner in code.ancestry(code.model)):
            tree = code.modules[path].tree
            call = first(tree, _is_lost_buffer) if tree is not None else None
            if call is not None:
                yield self.found(
                    "a non-persistent buffer of the model's code stays unset when it is loaded: "
                    "wrong answers without an error",
                    where=Where(path=path, line=getattr(call, "lineno", None)),
                )
                return


def _is_lost_buffer(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and is_self_attribute(node.func, "register_buffer")
        and any(
            keyword.arg == "persistent"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is False
            for keyword in node.keywords
        )
    )


class PickleNeedsTorch(Rule):
    """The weights are pickled and torch is older than 2.6.

    Since 4.52.1 transformers refuses to unpickle there, because torch's loader could be made to
    run code (CVE-2025-32434). Use torch 2.6 or newer, or safetensors.
    """

    code = "LOAD104"
    stage = "load"
    since = "4.52.1"
    evidence = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        torch = facts.environment.packages.get("torch")
        weights = facts.checkpoint.weights
        if weights.format == "pickle" and torch is not None and Version(torch) < SAFE_TORCH:
            yield self.found(
                f"pickled weights and torch {torch}: transformers asks for torch 2.6 or newer",
                where=Where(path=weights.files[0] if weights.files else None),
                hint='pip install "torch>=2.6"',
            )


RULES: tuple[Rule, ...] = (
    PackageMissing(),
    ImportGone(),
    DtypeIsText(),
    PostInitNeverCalled(),
    BufferLost(),
    PickleNeedsTorch(),
)
