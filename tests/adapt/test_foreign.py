from __future__ import annotations

import pytest

from trueup.adapt.foreign import error_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("one\ntwo", "one"),
        ("\n  field 'a':\n    TypeError: got str\nmore", "field 'a': TypeError: got str"),
        ("only an announcement:", "only an announcement:"),
        ("", "no message"),
    ],
)
def test_a_line_that_announces_is_told_with_what_it_announces(message: str, line: str) -> None:
    assert error_line(ValueError(message)) == line
