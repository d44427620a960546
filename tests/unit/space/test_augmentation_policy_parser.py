from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.space.augmentation_policy_parser import (
    OPERATIONS,
    canonical_policy,
    flips,
    flips_alternately,
    mixes_labels,
    parse_policy,
)


@st.composite
def policies(draw: st.DrawFn) -> str:
    """Policies with operations in any order, each with an explicit or default magnitude."""
    names = draw(st.permutations(sorted(draw(st.sets(st.sampled_from(sorted(OPERATIONS)), min_size=1)))))
    parts = []
    rivals = {"cutmix": "mixup", "flip alternating": "flip"}
    for name in [name for name in names if rivals.get(name) not in names]:
        kind = OPERATIONS[name]
        number = st.integers(1, int(kind.high)) if kind.integer else st.floats(0.001, kind.high)
        parts.append(name if kind.unit is None or draw(st.booleans()) else f"{name}  {draw(number)}")
    return " , ".join(parts)


@given(policy=policies())
def test_a_policy_has_one_spelling(policy: str) -> None:
    canonical = canonical_policy(policy)
    assert canonical_policy(canonical) == canonical
    assert parse_policy(canonical) == parse_policy(policy)
    assert canonical_policy(", ".join(reversed(policy.split(",")))) == canonical


def test_spelling_and_order() -> None:
    assert canonical_policy("flip,  shift 2.0") == "shift 2, flip"
    assert canonical_policy("cutout, rotate") == "rotate 10, cutout 0.25"
    assert canonical_policy(" none ") == "none"
    assert parse_policy("none") == ()
    assert canonical_policy("cutout,  flip   alternating, shift") == "shift 1, flip alternating, cutout 0.25"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shfit 2", "unknown operation 'shfit'; known: none alone, or shift, flip, flip alternating, rotate"),
        ("", "unknown operation ''"),
        ("shift 2,", "unknown operation ''"),
        ("none, shift 2", "unknown operation 'none'; known: none alone"),
        ("shift 2.5", r"the magnitude of shift \(pixels\) must be a whole number from 1 to 16, not 2.5"),
        ("shift 17", "from 1 to 16"),
        ("rotate 0", r"the magnitude of rotate \(degrees\) must be a number above 0 and at most 180, not 0"),
        ("rotate nan", "must be a number above 0"),
        ("cutout ten", "the magnitude of cutout must be a number, not 'ten'"),
        ("flip 2", "flip takes no magnitude"),
        ("shift 2 flip", "shift takes one magnitude; operations are separated by commas"),
        ("shift 1, shift 2", "an operation is given twice"),
        ("flip, flip alternating", "an operation is given twice"),
        ("flip always", "flip takes no magnitude"),
        ("mixup, cutmix", "mixup and cutmix both"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_policy(text)


def test_what_a_policy_does() -> None:
    assert [flips(policy) for policy in ("none", "shift 1", "shift 1, flip")] == [False, False, True]
    alternating = "shift 1, flip alternating"
    assert [flips(policy) for policy in ("flip", alternating)] == [True, True]
    assert [flips_alternately(policy) for policy in ("flip", alternating)] == [False, True]
    assert [mixes_labels(policy) for policy in ("flip", "mixup", "shift 1, cutmix 2")] == [False, True, True]
