from __future__ import annotations

from typing import Any, cast

import pytest

from nas.commands.composition.grid_network_costs import grid_samples
from nas.errors import StudyError
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture, VggArchitecture
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_errors import MeasurementFailed


class _Trainer:
    """Trainer for images of 28×28 pixels that counts measurements."""

    measured = 0

    def measure(self, architecture: Architecture) -> Cost:
        assert isinstance(architecture, VggArchitecture)
        self.measured += 1
        try:
            architecture.map_sizes((28, 28))
        except Exception as error:
            raise MeasurementFailed(str(error)) from error
        return Cost(1000, 2000)


def _spec(stem_strides: list[int]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "strides",
            "data": {"source": "digits"},
            "budget": {"trials": len(stem_strides), "epochs": 1},
            "sampler": {"name": "grid"},
            "early_stopping": {"enabled": False},
            "genome": {"architecture": {"family": "vgg", "stem_width": 8, "depths": [1] * 4, "widths": [8] * 4}},
            "grid": {"genes": {"architecture": {"stem_stride": stem_strides}}},
        }
    )


def test_strides_that_leave_nothing_are_named_with_their_setting() -> None:
    with pytest.raises(StudyError) as raised:
        grid_samples(cast(Any, _Trainer()), _spec([1, 2]))
    assert str(raised.value) == (
        "study 'strides' (stem_stride 2): genome.architecture: strides 2 (stem) and 1, 2, 2, 2 leave maps of 2×2 of "
        "images of 28×28 pixels, and 4×4 must stay; take fewer strides of 2"
    )


def test_each_setting_has_its_cost() -> None:
    samples = grid_samples(cast(Any, _Trainer()), _spec([1]))
    assert {name: one.cost.params for name, one in samples.items()} == {"stem_stride 1": 1000}
