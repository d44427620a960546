from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.space.gene_definitions import ARCHITECTURE_GENES, RECIPE_GENES
from nas.space.gene_domains import Choices, RandomSuggester, Range, Suggester, parse_domain

WIDTH, DROPOUT, KERNEL = (ARCHITECTURE_GENES[name] for name in ("width", "dropout_head", "kernel_size"))
RATE, COMPARISON = RECIPE_GENES["learning_rate"], ARCHITECTURE_GENES["comparison_width"]


def test_a_value_a_list_and_a_table() -> None:
    assert parse_domain(WIDTH, 8) == Choices((8,))
    assert parse_domain(WIDTH, [8, 16]) == Choices((8, 16))
    assert parse_domain(DROPOUT, [0, 0.5]) == Choices((0.0, 0.5))
    assert parse_domain(WIDTH, {"low": 8, "high": 16, "step": 4}) == Range(8, 16, 4, False, True)
    assert parse_domain(WIDTH, {"low": 1000, "high": 1024, "step": 100}) == Range(1000, 1000, 100, False, True)
    assert parse_domain(COMPARISON, {"low": 0, "high": 64, "step": 8}) == Range(0, 64, 8, False, True)
    assert parse_domain(RATE, {"low": 1e-3, "high": 1, "log": True}) == Range(1e-3, 1, None, True, False)


@pytest.mark.parametrize(
    ("gene", "value", "faults"),
    [
        (WIDTH, [], ["no choices"]),
        (WIDTH, [8, 16, 8], ["a choice is given twice"]),
        (DROPOUT, [0, 0.0], ["a choice is given twice"]),
        (WIDTH, "wide", ["input should be a valid integer (given: 'wide')"]),
        (WIDTH, [8, 2, 9999], ["greater than or equal to 4 (given: 2)", "less than or equal to 1024 (given: 9999)"]),
        (KERNEL, {"low": 1, "high": 3}, ["a range does not fit a gene of 1 | 3 | 5 | 7; give a list of choices"]),
        (WIDTH, {"low": 8}, ["a range needs 'high'"]),
        (WIDTH, {}, ["a range needs 'low'", "a range needs 'high'"]),
        (WIDTH, {"low": 8, "high": 9, "by": 1}, ["unknown key 'by' of a range"]),
        (WIDTH, {"low": 2, "high": 9999}, ["low: input should be", "high: input should be"]),
        (WIDTH, {"low": 16, "high": 8}, ["low 16 is above high 8"]),
        (WIDTH, {"low": 8, "high": 16.0}, ["high: input should be a valid integer (given: 16.0)"]),
        (WIDTH, {"low": 8, "high": 16, "step": 0}, ["step must be a positive int, not 0"]),
        (WIDTH, {"low": 8, "high": 16, "step": 0.5}, ["step must be a positive int, not 0.5"]),
        (WIDTH, {"low": 8, "high": 16, "step": True}, ["step must be a positive int, not True"]),
        (DROPOUT, {"low": 0.0, "high": 0.5, "step": -0.1}, ["step must be a positive float, not -0.1"]),
        (DROPOUT, {"low": 0.0, "high": 0.5, "step": math.nan}, ["step must be a positive float, not nan"]),
        (DROPOUT, {"low": 0.0, "high": 0.5, "step": math.inf}, ["step must be a positive float, not inf"]),
        (DROPOUT, {"low": 0.0, "high": 0.5, "log": True}, ["a logarithmic range needs low above 0, not 0.0"]),
        (RATE, {"low": 0.1, "high": 0.5, "log": "yes"}, ["log must be true or false, not 'yes'"]),
        (RATE, {"low": 0.1, "high": 0.5, "log": True, "step": 0.1}, ["step and log cannot be combined"]),
        (COMPARISON, {"low": 0, "high": 8}, ["at least 4 units; 0 is for none (given: 1); give a list"]),
        (WIDTH, {"low": 16, "high": 8, "log": 1, "step": 0}, ["low 16 is above", "log must be", "step must be"]),
    ],
)
def test_every_fault_is_reported(gene: Any, value: Any, faults: list[str]) -> None:
    reported = parse_domain(gene, value)
    assert isinstance(reported, list)
    assert len(reported) == len(faults)
    assert all(expected in fault for expected, fault in zip(faults, reported, strict=True))


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Range(2, 4, None, False, True), (2, 3, 4)),
        (Range(2, 7, 2, False, True), (2, 4, 6)),
        (Range(3, 3, None, True, True), (3,)),
        (Choices((4, 2)), (4, 2)),
    ],
)
def test_whole_numbers_and_size(domain: Choices | Range, values: tuple[int, ...]) -> None:
    assert domain.integer_values() == values
    assert domain.size == len(values)


def test_sizes_of_real_ranges() -> None:
    assert Range(0.0, 0.5, None, False, False).size is None
    assert Range(0.5, 0.5, None, False, False).size == 1
    assert Range(0.0, 0.3, 0.1, False, False).size == 4  # 0.3 / 0.1 is 2.9999999999999996


class _FailingSuggester:
    """Suggester that fails on every call."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


@pytest.mark.parametrize("domain", [Choices((7,)), Range(7, 7, None, False, True), Range(7, 7, None, True, False)])
def test_a_fixed_gene_is_not_sampled(domain: Choices | Range) -> None:
    suggester: Suggester = _FailingSuggester()
    assert domain.suggest("x", suggester) == 7


RANGES = [
    Range(2, 9, 3, False, True), Range(1, 64, None, True, True), Range(0.09, 1.0, 0.07, False, False),
    Range(0.1, 0.7, 0.2, False, False), Range(1e-5, 1e-1, None, True, False), Range(-1.0, 2.0, None, False, False),
]  # fmt: skip


@given(seed=st.integers(0, 2**32), domain=st.sampled_from(RANGES))
def test_random_values_lie_on_the_range(seed: int, domain: Range) -> None:
    value = domain.suggest("x", RandomSuggester(seed))
    assert not isinstance(value, str)
    assert domain.low - 1e-12 * abs(domain.low) <= value <= domain.high
    if domain.step is not None:
        steps = (value - domain.low) / domain.step
        assert steps == pytest.approx(round(steps), abs=1e-9)
    assert isinstance(value, int) == domain.integer


@pytest.mark.parametrize(("domain", "count"), [(RANGES[0], 3), (RANGES[2], 14), (RANGES[3], 4)])
def test_every_step_is_drawn_and_both_ends(domain: Range, count: int) -> None:
    drawn = {round(float(domain.suggest("x", RandomSuggester(seed))), 9) for seed in range(400)}
    assert len(drawn) == domain.size == count
    assert min(drawn) == domain.low


def test_logarithmic_draws_have_the_median_of_their_logarithms() -> None:
    suggester = RandomSuggester(0)
    drawn = sorted(suggester.suggest_float("x", 1e-4, 1e-2, log=True) for _ in range(2001))
    assert math.log10(drawn[1000]) == pytest.approx(-3.0, abs=0.15)
    whole = sorted(suggester.suggest_int("x", 1, 100, log=True) for _ in range(2001))
    assert whole[1000] in (9, 10, 11)
    assert (whole[0], whole[-1]) == (1, 100)


def test_the_same_seed_draws_the_same() -> None:
    assert RandomSuggester(3).suggest_float("x", 0, 1) == RandomSuggester(3).suggest_float("x", 0, 1)
    assert RandomSuggester(3).suggest_float("x", 0, 1) != RandomSuggester(4).suggest_float("x", 0, 1)


@pytest.mark.parametrize(
    "domain", [Range(2, 8, 3, False, True), RANGES[1], RANGES[3], RANGES[4], RANGES[5], Choices((8, 16))]
)
def test_an_optuna_trial_is_a_suggester(domain: Choices | Range) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    value = domain.suggest("x", trial)
    assert trial.params == {"x": value}


@pytest.mark.parametrize(
    ("gene", "domain", "inside", "outside"),
    [
        (WIDTH, {"low": 8, "high": 24, "step": 8}, [8, 16, 24], [7, 12, 32, 16.5, True, "16"]),
        (WIDTH, {"low": 8, "high": 24, "log": True}, [8, 9, 24], [25, 9.5]),
        (DROPOUT, {"low": 0.0, "high": 0.5, "step": 0.1}, [0.0, 0.1, 0.30000000000000004, 0.5], [0.25, 0.6]),
        (DROPOUT, {"low": 0.0, "high": 0.5}, [0.0, 0.123, 0.5], [-0.1, 0.51]),
        (DROPOUT, [0, 0.5], [0.0, 0.5], [0.25, False]),
        (KERNEL, 3, [3], [1, 5, 3.0]),
    ],
)
def test_a_domain_contains_what_can_be_drawn(gene: Any, domain: Any, inside: list[Any], outside: list[Any]) -> None:
    parsed = parse_domain(gene, domain)
    assert not isinstance(parsed, list)
    assert [value for value in (*inside, *outside) if parsed.contains(value)] == inside


@pytest.mark.parametrize(
    ("domain", "shares", "targets", "text"),
    [
        (Choices((64, 16, 32)), {0.0: 16, 0.3: 32, 0.25: 16, 1.0: 64}, {0: 16, 24: 16, 49: 64}, "64, 16, 32"),
        (Range(8, 32, 8, False, True), {0.0: 8, 0.5: 16, 0.6: 24, 1.0: 32}, {0: 8, 12: 8, 21: 24}, "8 to 32 in steps"),
        (Range(1, 16, None, True, True), {0.0: 1, 0.5: 4, 1.0: 16}, {7.4: 7, 99: 16}, "1 to 16"),
        (Range(0.0, 0.5, None, False, False), {0.0: 0.0, 0.5: 0.25}, {0.3: 0.3, 9.0: 0.5}, "0.0 to 0.5"),
        (Range(0.0, 0.5, 0.2, False, False), {0.0: 0.0, 0.7: 0.4}, {0.31: 0.4, 0.1: 0.0}, "0.0 to 0.5 in steps of 0.2"),
        (Choices((True,)), {}, {}, "true"),
    ],
)
def test_quantiles_and_nearest_values_are_of_the_domain(
    domain: Choices | Range, shares: dict[float, Any], targets: dict[float, Any], text: str
) -> None:
    assert {share: domain.quantile(share) for share in shares} == shares
    assert {target: domain.nearest(target) for target in targets} == targets
    for value in (*shares.values(), *targets.values()):
        assert domain.contains(value)
    assert domain.describe().startswith(text)
