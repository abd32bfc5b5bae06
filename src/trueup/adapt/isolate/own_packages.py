"""Packages that a model's own code imports, and which of them an environment is given.

Only packages that are known here are ever installed: a model could name any package of an index,
and installing one runs it. Data, and the reading of imports from parsed files.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPackage:
    """A package that models are known to need; megabytes as its wheels have them.

    `is_sdist` where an index has no wheel of it, so that its own build runs.
    """

    requirement: str
    disk_mb: int = 2
    is_sdist: bool = False

    @property
    def name(self) -> str:
        """The distribution's name without bounds."""
        return self.requirement.split("<")[0].split(">")[0].split("=")[0]


# By the name that is imported.
KNOWN: Mapping[str, KnownPackage] = {
    "PIL": KnownPackage(requirement="pillow", disk_mb=16),
    "accelerate": KnownPackage(requirement="accelerate"),
    "cpm_kernels": KnownPackage(requirement="cpm-kernels"),
    "cv2": KnownPackage(requirement="opencv-python-headless", disk_mb=130),
    "einops": KnownPackage(requirement="einops"),
    "ftfy": KnownPackage(requirement="ftfy"),
    "google": KnownPackage(requirement="protobuf"),
    "jieba": KnownPackage(requirement="jieba", disk_mb=30, is_sdist=True),
    "jinja2": KnownPackage(requirement="jinja2"),
    "nltk": KnownPackage(requirement="nltk", disk_mb=7),
    "numpy": KnownPackage(requirement="numpy", disk_mb=60),
    "opencc": KnownPackage(requirement="opencc", disk_mb=8),
    "packaging": KnownPackage(requirement="packaging"),
    "pandas": KnownPackage(requirement="pandas", disk_mb=60),
    "peft": KnownPackage(requirement="peft"),
    "regex": KnownPackage(requirement="regex"),
    "requests": KnownPackage(requirement="requests"),
    "rjieba": KnownPackage(requirement="rjieba", disk_mb=8),
    "safetensors": KnownPackage(requirement="safetensors"),
    "scipy": KnownPackage(requirement="scipy", disk_mb=110),
    "sentencepiece": KnownPackage(requirement="sentencepiece", disk_mb=5),
    "sklearn": KnownPackage(requirement="scikit-learn", disk_mb=45),
    "tiktoken": KnownPackage(requirement="tiktoken", disk_mb=4),
    "timm": KnownPackage(requirement="timm", disk_mb=12),
    "tokenizers": KnownPackage(requirement="tokenizers", disk_mb=10),
    "tqdm": KnownPackage(requirement="tqdm"),
    "transformers_stream_generator": KnownPackage(
        requirement="transformers-stream-generator", is_sdist=True
    ),
    "yaml": KnownPackage(requirement="pyyaml", disk_mb=3),
}
# There without our doing: transformers needs some of them, torch brings the rest.
GIVEN = frozenset(
    ("transformers", "torch", "huggingface_hub", "filelock", "fsspec", "typing_extensions")
)


def packages_of(checkpoint: Checkpoint) -> tuple[dict[str, KnownPackage], tuple[str, ...]]:
    """The known packages that the model's own code imports, and the others' import names.

    Imports within a `try` or behind a question are optional; of those, known ones count too, since
    a model that looks for a package works with it better than without.
    """
    known: dict[str, KnownPackage] = {}
    unknown: dict[str, None] = {}
    for module in checkpoint.remote_code.values():
        for root, is_optional in _roots(module):
            if root in KNOWN:
                known[root] = KNOWN[root]
            elif not is_optional and root not in GIVEN:
                unknown[root] = None
    return known, tuple(unknown)


def _roots(module: RemoteModule) -> Iterator[tuple[str, bool]]:
    """The packages that a file imports, each with whether it can do without."""
    pending: list[tuple[ast.AST, bool]] = [] if module.tree is None else [(module.tree, False)]
    while pending:
        node, is_optional = pending.pop()
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in names:
            root = name.partition(".")[0]
            if root not in sys.stdlib_module_names:
                yield root, is_optional
        inner = is_optional or isinstance(node, ast.Try | ast.If | ast.FunctionDef)
        pending += [(child, inner) for child in ast.iter_child_nodes(node)]
