from __future__ import annotations

from nas.errors import FaultyDataError, shortened_list


def test_one_fault_is_one_line() -> None:
    assert str(FaultyDataError("a.npz", ["is bad"])) == "a.npz: is bad"


def test_several_faults_are_indented_lines() -> None:
    assert str(FaultyDataError("a.npz", ["one", "two"])) == "a.npz: 2 faults\n  one\n  two"


def test_listed_counts_the_others() -> None:
    assert shortened_list(["a", "b"]) == "a, b"
    assert shortened_list(list("abcdef")) == "a, b, c, d, e and 1 other"
    assert shortened_list(list("abcde"), 9) == "a, b, c, d, e and 4 others"
