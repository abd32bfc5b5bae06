"""Every known failure, by the software that it comes from."""

from __future__ import annotations

from trueup.doctor.known import (
    files,
    generation,
    imports,
    kronos,
    libraries,
    llamafactory,
    servers,
)
from trueup.doctor.known.row import Known

KNOWN: tuple[Known, ...] = (
    *libraries.ROWS,
    *imports.ROWS,
    *generation.ROWS,
    *files.ROWS,
    *servers.ROWS,
    *kronos.ROWS,
    *llamafactory.ROWS,
)
