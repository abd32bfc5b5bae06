"""What a model's own code can do to the machine that runs it, read from its parsed files.

Nothing is imported or run. The audit shows a person where to look: it is no proof that code is
harmless, and what it finds may be wanted.
"""

from __future__ import annotations

from trueup.doctor.audit.alarm import DOES, KINDS, Alarm, Kind, alarms_text
from trueup.doctor.audit.module import audit_module

__all__ = ["DOES", "KINDS", "Alarm", "Kind", "alarms_text", "audit_module"]
