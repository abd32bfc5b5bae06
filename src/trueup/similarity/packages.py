"""The packages of the extra `similar`: told to be missing before they are imported."""

from __future__ import annotations

import importlib.util

from trueup.errors import ConfigError
from trueup.similarity.language import LANGUAGES


def require_packages() -> None:
    """Make sure that everything that similarity imports is installed.

    Raises: ConfigError where something is not.
    """
    wanted = ["numpy", "pathspec", "tree_sitter", "usearch"]
    wanted += [language.module for language in LANGUAGES]
    missing = [name for name in dict.fromkeys(wanted) if importlib.util.find_spec(name) is None]
    if not missing:
        return
    verb = "is" if len(missing) == 1 else "are"
    raise ConfigError(
        f"{', '.join(f'`{name}`' for name in missing)} {verb} not installed",
        where="the packages of this Python environment",
        hint="pip install 'trueup[similar]'",
    )
