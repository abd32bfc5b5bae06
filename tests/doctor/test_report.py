from typing import Any

import pytest

from trueup.doctor.finding import Finding
from trueup.doctor.report import is_avoided


@pytest.mark.parametrize(
    ("blocks", "route", "avoided"),
    [
        (("fixed",), "native", True),
        (("fixed",), "fixed", False),
        (("native", "fixed", "isolated"), "native", False),
        (("fixed",), "refused", False),
        ((), "native", False),
    ],
)
def test_a_finding_is_avoided_where_it_blocks_another_route_than_the_plans(
    blocks: Any, route: str, avoided: bool
) -> None:
    finding = Finding(code="X1", severity="error", stage="load", cause="c", blocks=blocks)
    assert is_avoided(finding, route) is avoided
