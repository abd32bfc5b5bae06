"""What code could make large is not worked out; its small likes are."""

from __future__ import annotations

import pytest

from tests.doctor.walk.small_library import failure_of
from trueup.doctor.walk.bounds import MAX_ITEMS
from trueup.doctor.walk.values import Const, Items, Value, to_python

TEXT, MANY = "'a' * 60_000", "[1] * 200"
# What is small, and the same grown too large.
PAIRS: dict[str, tuple[str, str]] = {
    "a product of text": ("'a' * 9", "'a' * 200_000"),
    "a product of bytes": ("3 * b'a'", "200_000 * b'a'"),
    "a sum of texts": ("'a' + 'b'", f"{TEXT} + {TEXT}"),
    "a product of numbers": ("7 * 9", "1\nfor _ in range(64):\n    x = (x + 1) * (x + 1)"),
    "a power": ("pow(2, 9)", "pow(2, 200_000)"),
    "a format's width": ("'%4d' % 1", "'%200000d' % 1"),
    "a format's width that is an argument": ("'%d' % 1", "'%*d' % (200_000, 1)"),
    "a field's width": ("'{:>4}'.format(1)", "'{:>200000}'.format(1)"),
    "an f-string": ("f'{1}'", f"{TEXT}\nx = f'{{x}}{{x}}'"),
    "a padded text": ("'a'.ljust(4)", "'a'.ljust(200_000)"),
    "expanded tabs": ("'a'.upper()", "'\\t'.expandtabs(200_000)"),
    "a replaced text": ("'aa'.replace('a', 'b')", "('a' * 999).replace('a', 'b' * 999)"),
    "joined texts": ("','.join(['a', 'b'])", "','.join(['a' * 999] * 200)"),
    "bytes of a length": ("bytes(4)", "bytes(200_000)"),
    "a list in a list": ("[*[1], *[1]]", f"{MANY}\nfor _ in range(9):\n    x = [*x, *x]"),
    "a sum of lists": ("[1] + [1]", f"{MANY}\nfor _ in range(9):\n    x = x + x"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_would_be_large_is_unknown(name: str) -> None:
    known = "\nif x == 'other':\n    pass\nelse:\n    raise ValueError('known')"
    small, large = (f"x = {code}{known}" for code in PAIRS[name])
    failure = failure_of(small)
    assert failure is not None
    assert failure.message == "known"
    assert failure_of(large) is None


def test_what_holds_itself_many_times_over_is_no_object() -> None:
    value: Value = Const(1)
    for _ in range(18):
        value = Items("tuple", [value, value])
    with pytest.raises(ValueError, match=r"^$"):
        to_python(value)


def test_of_a_long_list_its_number_is_forgotten() -> None:
    kept = Items("list", [Const(1)] * MAX_ITEMS)
    assert len(kept.items or ()) == MAX_ITEMS
    long = Items("list", [Const(1)] * (MAX_ITEMS + 1))
    assert (long.items, long.element) == (None, Const(1))
