from __future__ import annotations

from trueup.adapt.native.vocabulary_merges import merges_in_order


def test_better_pieces_come_first_and_every_split_is_a_merge() -> None:
    merges = merges_in_order(["bc", "ab", "abc", "a", "b", "c"])
    assert merges == [("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc")]


def test_pieces_that_cannot_be_made_from_two_others_have_no_merge() -> None:
    assert merges_in_order(["abc", "a", "b", "c"]) == []


def test_the_longer_part_of_a_plain_repetition_is_the_left_one() -> None:
    assert merges_in_order(["--", "---", "-"]) == [("-", "-"), ("--", "-"), ("-", "--")]


def test_where_two_splits_overlap_the_one_that_begins_first_wins() -> None:
    # In `ab` + `aba` + `ba` both neighbours make `ababa`: the left pair begins first.
    merges = merges_in_order(["ab", "ba", "aba", "ababa", "a", "b"])
    assert merges.index(("ab", "aba")) < merges.index(("aba", "ba"))
