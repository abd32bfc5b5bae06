"""What the thing of a dotted name does: the tables of `watched.py`, asked."""

from __future__ import annotations

from trueup.doctor.audit.alarm import Kind
from trueup.doctor.audit.watched import CALLS, HARMLESS, SETTINGS, SHARED

IMPORT_STATE = ("sys.modules", "sys.meta_path", "sys.path_hooks", "sys.path")
EXACT = {name: kind for kind, names in CALLS.items() for name in names if name[-1] != "."}
MODULES = {name[:-1]: kind for kind, names in CALLS.items() for name in names if name[-1] == "."}


def watched_kind(name: str) -> Kind | None:
    """What the thing of that dotted name does, None where it is not watched."""
    if name in HARMLESS:
        return None
    if name in EXACT:
        return EXACT[name]
    module = name.rpartition(".")[0]
    while module:
        if module in MODULES:
            return MODULES[module]
        module = module.rpartition(".")[0]
    return None


def is_shared(name: str) -> bool:
    """Whether the name is of a library that others use too: to replace it changes what they do."""
    return name.startswith(SHARED) and not name.startswith(SETTINGS)
