"""Which of the two languages a message is in. The agents answer in the same one."""

from __future__ import annotations

import re

# Enough of Unicode's Han characters to tell Chinese from English.
HAN = re.compile(r"[\u3400-\u9fff]")


def is_chinese(message: str) -> bool:
    """Whether it has any Chinese character; function names in it are English anyhow."""
    return HAN.search(message) is not None
