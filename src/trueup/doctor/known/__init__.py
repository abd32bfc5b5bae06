"""Every known failure that is no rule's, by the software that it comes from."""

from __future__ import annotations

from trueup.doctor.known import kronos, llamafactory, loading, servers
from trueup.doctor.known.row import Known

KNOWN: tuple[Known, ...] = (
    *loading.ROWS,
    *servers.ROWS,
    *kronos.ROWS,
    *llamafactory.ROWS,
)
