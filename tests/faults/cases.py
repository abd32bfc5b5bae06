"""Every fault by its name, and every case in the order of the table."""

from __future__ import annotations

from tests.faults import connection, protocol, status, tools
from tests.faults.case import Fault

FAULTS = {
    fault.name: fault for family in (connection, protocol, status, tools) for fault in family.FAULTS
}
CASES = tuple(case for fault in FAULTS.values() for case in fault.cases)
HEALTHY = Fault(name="healthy", family="none")
