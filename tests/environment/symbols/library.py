"""A small library in the three ways in which the real one has been laid out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trueup.environment.environment import Environment
from trueup.environment.symbols.symbols import Symbols, installed_symbols

BASES = """
import torch
from torch import nn
from .utils import logging
from .mixins import GenerationMixin as Mixin

class Base(nn.Module, Mixin):
    config_class = None
    main_input_name = "input_ids"

    def __init__(self, config, *inputs, **kwargs):
        super().__init__()
        self.config = config

    @property
    def device(self):
        return self._device

    @device.setter
    def device(self, value):
        self._device = value
"""

COMMON = {
    "modeling_utils.py": BASES,
    "mixins.py": "class GenerationMixin:\n    def generate(self, inputs=None): ...\n",
    "utils/__init__.py": (
        "from . import logging\nfrom .generic import *\nfrom .import_utils import X\n"
    ),
    "utils/logging.py": "def get_logger(name=None): ...\n",
    "utils/generic.py": "__all__ = ['shown']\ndef shown(): ...\ndef hidden(): ...\n",
    "utils/import_utils.py": "X = 1\n",
    "models/__init__.py": "",
    "models/tiny/modeling_tiny.py": (
        "from ...modeling_utils import Base\n"
        "class TinyModel(Base):\n"
        "    def __init__(self, config, *, cache=None): ...\n"
        "    def forward(self, x): ...\n"
        "class _Private: ...\n"
        "__all__ = ['TinyModel']\n"
    ),
    "models/tiny/tokenization_tiny.py": "class TinyTokenizer: ...\n__all__ = ['TinyTokenizer']\n",
}
WRITTEN_OUT = {
    **COMMON,
    "__init__.py": """
__version__ = "4.40.0"
from typing import TYPE_CHECKING
from .utils import OptionalDependencyNotAvailable, _LazyModule, is_torch_available
_import_structure = {"utils": ["logging"], "models.tiny": []}
try:
    if not is_torch_available():
        raise OptionalDependencyNotAvailable()
except OptionalDependencyNotAvailable:
    _import_structure["dummies"] = ["Dummy"]
else:
    _import_structure["modeling_utils"] = ["Base"]
    _import_structure["models.tiny"].extend(["TinyModel"])
    _import_structure["models.tiny"].append("TinyTokenizer")
if TYPE_CHECKING:
    from .modeling_utils import OnlyForTypes
else:
    import sys
    sys.modules[__name__] = _LazyModule(
        __name__, globals()["__file__"], _import_structure,
        extra_objects={"__version__": __version__},
    )
""",
    "models/tiny/__init__.py": """
from ...utils import _LazyModule
_import_structure = {"modeling_tiny": ["TinyModel"], "tokenization_tiny": ["TinyTokenizer"]}
import sys
sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], _import_structure)
""",
}
COLLECTED = {
    **COMMON,
    "__init__.py": """
__version__ = "5.20.0"
from pathlib import Path
from .utils import _LazyModule
from .utils.import_utils import define_import_structure
_import_structure = {"modeling_utils": ["Base"]}
_LEGACY_MODULE_ALIASES = {"old_utils": "modeling_utils"}
import_structure = define_import_structure(Path(__file__).parent / "models", prefix="models")
import_structure[frozenset({})].update(_import_structure)
import sys
sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], import_structure)
PATTERN = r"models\\.(\\w+)\\.image_processing_(\\w+)_fast"
""",
    "models/tiny/__init__.py": """
from ...utils import _LazyModule
from ...utils.import_utils import define_import_structure
import sys
_file = globals()["__file__"]
sys.modules[__name__] = _LazyModule(__name__, _file, define_import_structure(_file))
""",
    "models/tiny/image_processing_tiny.py": (
        "@requires(backends=('vision',))\nclass TinyImageProcessor: ...\n"
    ),
    "models/tiny/convert_tiny.py": "__all__ = ['never']\n",
    "utils/import_utils.py": (
        "X = 1\n"
        'if name.endswith("TokenizerFast"): SLOW_TO_FAST_CONVERTERS\n'
        'if name.endswith("ImageProcessorFast"): ...\n'
    ),
    "convert_slow_tokenizer.py": (
        'SLOW_TO_FAST_CONVERTERS = {\n    "TinyTokenizer": TinyConverter,\n'
        '    "LikeTinyTokenizer": TinyConverter,\n    "LoneTokenizer": LoneConverter,\n}\n'
    ),
}


def write_library(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the library below `folder` and return its package."""
    package = folder / "transformers"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def environment_at(folder: Path, version: str = "5.20.0") -> Environment:
    """An environment whose transformers lies in `folder`."""
    return Environment(
        python="python",
        python_version="3.11.0",
        packages={"transformers": version},
        folders={"transformers": folder},
    )


def symbols_of(folder: Path, files: Mapping[str, str]) -> Symbols:
    """The symbols of a library written to `folder`."""
    write_library(folder, files)
    found = installed_symbols(environment_at(folder))
    assert found is not None
    return found
