"""A library of a few lines that has what the walk looks for, and code that meets it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping

from packaging.version import Version

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.walk.failure import Failure, RaisedError
from trueup.doctor.walk.generation import Generation
from trueup.doctor.walk.machine import World
from trueup.environment.symbols.facts import ModuleFacts
from trueup.environment.symbols.lookup import Symbols
from trueup.environment.symbols.source import read_module

LIBRARY = {
    "transformers": "from .configuration_utils import PretrainedConfig\n"
    "from .modeling_utils import PreTrainedModel\n"
    "from .cache_utils import DynamicCache\n",
    "transformers.configuration_utils": """
class PretrainedConfig:
    def __init__(self, **kwargs):
        self.pad_token_id = kwargs.pop("pad_token_id", None)
        self.torch_dtype = kwargs.pop("torch_dtype", None)

    def _get_global_generation_defaults(self):
        return {}
""",
    "transformers.modeling_utils": """
from torch import nn

class PreTrainedModel(nn.Module):
    supports_gradient_checkpointing = False

    def __init__(self, config, *inputs, **kwargs):
        super().__init__()
        self.config = config
        self.name_or_path = config.name_or_path

    def post_init(self):
        self.prepare()
        self.ready = True

    def prepare(self):
        self.begin(1, mode="fast")

    def begin(self, count, mode=None):
        pass

    def get_head_mask(self, head_mask, count):
        return head_mask
""",
    "transformers.cache_utils": """
class Cache:
    pass

class DynamicCache(Cache):
    def __init__(self):
        self.layers = []

    def get_seq_length(self, layer=0):
        return 0
""",
}


class Sources:
    """Modules from their texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def load(self, name: str) -> ModuleFacts | None:
        text = self._texts.get(name)
        if text is None:
            return None
        return read_module(text.encode(), name, is_package=name == "transformers")


def module(path: str, source: str) -> RemoteModule:
    digest = hashlib.sha256(source.encode()).hexdigest()
    return RemoteModule(path=path, source=source, sha256=digest, tree=ast.parse(source))


def walk_of(
    source: str,
    *,
    version: str = "4.57.0",
    more: Mapping[str, str] | None = None,
    packages: Mapping[str, str] | None = None,
) -> Generation:
    """A walk over `main.py` with that text, which is not begun."""
    files = {"main.py": source, **(more or {})}
    symbols = Symbols("transformers", Version(version), Sources(LIBRARY))
    return Generation(
        World(
            symbols=symbols,
            version=Version(version),
            packages=packages or {"torch": "2.13.0", "packaging": "25.0", "transformers": version},
            modules={path: module(path, text) for path, text in files.items()},
        )
    )


def failure_of(source: str, **more: object) -> Failure | None:
    """What running the text fails with; None where it does not."""
    walk = walk_of(source, **more)  # type: ignore[arg-type]
    try:
        walk.import_own("main.py")
    except RaisedError as raised:
        return raised.failure
    return None


def possible_of(source: str) -> list[Failure]:
    """What running the text may fail with; it must not fail for certain."""
    walk = walk_of(source)
    walk.import_own("main.py")
    return walk.possible
