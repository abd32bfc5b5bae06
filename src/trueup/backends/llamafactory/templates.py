"""LlamaFactory's names of chat formats: what others call them, and what was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

# Names that were never LlamaFactory's and that many write, with what it calls them.
ALIASES = {"qwen2": "qwen", "qwen2.5": "qwen", "qwen2_5": "qwen"}
NEAREST = 3


def known_name(template: str | None) -> str | None:
    """The name that LlamaFactory knows it by, as far as that is certain."""
    return template if template is None else ALIASES.get(template, template)


def warning_of(template: str | None) -> str | None:
    """What to tell where another name is taken than was written."""
    known = known_name(template)
    if known == template:
        return None
    return f"LlamaFactory has no template `{template}`: `{known}` is taken, which that model uses"


def nearest_names(template: str, known: Sequence[str]) -> list[str]:
    """The known names that are most like one that is not known."""
    by_letters = get_close_matches(template, known, n=NEAREST, cutoff=0.6)
    by_start = [name for name in known if template.startswith(name) or name.startswith(template)]
    return list(dict.fromkeys([*by_letters, *by_start]))[:NEAREST]
