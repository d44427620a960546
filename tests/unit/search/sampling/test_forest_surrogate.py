from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.search.sampling.forest_surrogate import Candidate, Observation, SurrogatePrediction, final_scores

GENES = {"family": "vgg", "width": 8}


def observation(
    *curve: float, final_f1: float | None = None, group: str = "joint", **parameters: object
) -> Observation:
    size = 3.0 + 0.1 * float(str(parameters.get("width", 8)))
    return Observation({**GENES, **parameters}, {"params": size}, curve, final_f1, 2.0 * len(curve), group)


def test_a_result_stands_and_a_stopped_curve_rises_as_the_others_did() -> None:
    observations = [
        observation(0.1, 0.3, final_f1=0.4),
        observation(0.2, 0.5, final_f1=0.4),
        observation(0.1, 0.2, final_f1=0.3),
        observation(0.05),
        observation(0.15, 0.2),
    ]
    # From the first epoch the three rose 4, 2 and 3 times; from the second 4/3, 4/5 and 3/2 times.
    assert final_scores(observations) == pytest.approx([0.4, 0.4, 0.3, 0.15, 0.2 * 4 / 3])


def test_a_curve_is_drawn_out_like_those_of_its_group_where_there_are_any() -> None:
    observations = [
        observation(0.1, final_f1=0.2),
        observation(0.1, final_f1=0.8, group="retrained"),
        observation(0.1, group="retrained"),
        observation(0.1, group="svm"),
    ]
    assert final_scores(observations)[2:] == pytest.approx([0.8, 0.5])


def test_a_stopped_curve_rises_as_those_of_its_size_did() -> None:
    small = [Observation({}, {"params": 3.0 + 0.01 * n}, (0.5, 0.6), 0.6, 1.0, "joint") for n in range(5)]
    large = [Observation({}, {"params": 5.0 + 0.01 * n}, (0.4, 0.8), 0.8, 1.0, "joint") for n in range(5)]
    stopped = [Observation({}, {"params": size}, (0.4,), None, 1.0, "joint") for size in (3.1, 4.9)]
    assert final_scores([*small, *large, *stopped])[-2:] == pytest.approx([0.4 * 1.2, 0.4 * 2.0])


def test_no_score_is_predicted_above_the_best_of_its_size_and_none_rises_without_complete_trials() -> None:
    assert final_scores([observation(0.1, final_f1=0.9), observation(0.8)]) == [0.9, 0.9]
    assert final_scores([observation(0.3)]) == [0.3]


points = st.builds(Objectives, st.floats(0.0, 1.0), st.floats(3.0, 6.0))


@given(st.lists(points, min_size=1, max_size=6), points)
def test_a_gain_is_the_difference_of_two_hypervolumes(front: list[Objectives], candidate: Objectives) -> None:
    prediction = SurrogatePrediction(
        scores=np.array([[candidate.score]]),
        log10_costs={"params": np.array([candidate.log10_cost])},
        log10_seconds=np.zeros(1),
    )
    steps = pareto_front(front, lambda point: point)
    corner = Objectives(0.0, max(point.log10_cost for point in [*steps, candidate]) + np.log10(2))
    gain = hypervolume([*front, candidate], corner) - hypervolume(front, corner)
    assert prediction.hypervolume_gains(front)[0] == pytest.approx(gain, abs=1e-9)


def test_a_gain_is_the_mean_over_the_trees() -> None:
    front = [Objectives(0.5, 4.0)]
    sizes = {"params": np.array([4.0])}
    both = SurrogatePrediction(np.array([[0.4], [0.8]]), sizes, np.zeros(1)).hypervolume_gains(front)
    apart = [SurrogatePrediction(np.array([[f1]]), sizes, np.zeros(1)).hypervolume_gains(front)[0] for f1 in (0.4, 0.8)]
    assert apart[0] == 0.0 < apart[1]
    assert both[0] == pytest.approx(sum(apart) / 2)


def test_observations_are_predicted_and_untrained_networks_count_with_their_size() -> None:
    observations = [observation(0.1, final_f1=0.1 * width, width=width) for width in range(2, 9)]
    over_budget = Observation({"family": "densenet", "growth_rate": 8}, {"params": 7.0}, (), None, None, "joint")
    candidates = [Candidate({**GENES, "width": 3}), Candidate({**GENES, "width": 7}), Candidate(over_budget.parameters)]
    prediction = SurrogatePrediction.fit_predict(candidates, [*observations, over_budget], seed=0)
    assert prediction.scores.shape[1:] == (3,)
    assert prediction.scores.mean(0)[:2] == pytest.approx([0.3, 0.7])
    assert prediction.log10_cost == pytest.approx([3.3, 3.7, 7.0])
    # Each observation has two seconds an epoch.
    assert prediction.log10_seconds == pytest.approx(np.log10([2.0, 2.0, 2.0]))


def test_counted_sizes_are_taken_as_they_are_and_explain_the_scores() -> None:
    # Two genes that mean nothing, and scores that follow the size.
    observations = [
        Observation({"x": n % 3}, {"params": 3.0 + 0.1 * n}, (0.1,), 0.1 * n, 2.0, "joint") for n in range(10)
    ]  # fmt: skip
    candidates = [Candidate({"x": 0}, 3.2), Candidate({"x": 0}, 3.8)]
    prediction = SurrogatePrediction.fit_predict(candidates, observations, seed=0)
    assert prediction.log10_cost.tolist() == [3.2, 3.8]
    assert prediction.scores.mean(0) == pytest.approx([0.2, 0.8], abs=0.15)


def _target_gains(macro_f1: list[float], sizes: list[float], target_f1: float) -> list[float]:
    """Gains of candidates of whose macro-F1 all trees are sure, with a front of two."""
    front = [Objectives(0.5, 4.0), Objectives(0.7, 5.0)]
    prediction = SurrogatePrediction(np.array([macro_f1]), {"params": np.array(sizes)}, np.zeros(len(sizes)))
    gains: list[float] = prediction.target_gains(front, target_f1).tolist()
    return gains


def test_at_the_target_the_gain_is_its_probability_times_the_decades_saved() -> None:
    gains = _target_gains([0.68, 0.68, 0.60, 0.95, 0.95], [4.8, 4.5, 4.0, 4.9, 5.5], 0.68)
    # Exactly at the target the chances are even; a score far above it adds nothing, and a larger network gains nothing.
    assert gains[:2] == pytest.approx([0.5 * 0.2, 0.5 * 0.5])
    assert gains[2] == pytest.approx(0.0, abs=1e-9)
    assert gains[3:] == pytest.approx([0.1, 0.0])


def test_before_the_target_is_reached_the_gain_is_the_expected_rise_of_the_best_score_up_to_it() -> None:
    gains = _target_gains([0.5, 0.69, 0.74, 0.79, 0.99], [4.0, 4.0, 6.0, 4.0, 4.0], 0.8)
    assert 0.0 <= gains[0] < 1e-6 < gains[1] < gains[2] < gains[3] < gains[4]
    # Of a sure score between both that is its distance to the best; beyond the target that of the target.
    assert gains[2] == pytest.approx(0.04, abs=1e-3)
    assert gains[4] == pytest.approx(0.1, abs=1e-6)


def test_trees_that_disagree_hope_for_more() -> None:
    front = [Objectives(0.7, 5.0)]
    trees = np.array([[0.68, 0.60], [0.68, 0.76]])
    gains = SurrogatePrediction(trees, {"params": np.array([4.0, 4.0])}, np.zeros(2)).target_gains(front, 0.8)
    assert gains[1] > 3 * gains[0]


def test_each_cost_is_learnt_and_the_first_is_minimised() -> None:
    # Latency falls with the width; memory follows neither score nor size.
    observations = [
        Observation({"x": n}, {"params": 3.0, "latency_ms": -0.1 * n, "flops": 6.0 + n % 2}, (0.1,), 0.5, 2.0, "joint")
        for n in range(20)
    ]
    candidates = [Candidate({"x": 2}, 3.0), Candidate({"x": 17}, 3.0)]
    prediction = SurrogatePrediction.fit_predict(candidates, observations, 0, ("latency_ms", "flops"))
    assert prediction.log10_cost == pytest.approx([-0.2, -1.7], abs=0.15)
    assert prediction.log10_costs["params"].tolist() == [3.0, 3.0]
    assert prediction.log10_costs["flops"].shape == (2,)
    gains = prediction.target_gains([Objectives(0.5, -0.5)], 0.4)
    assert gains[0] == 0.0 < gains[1]
