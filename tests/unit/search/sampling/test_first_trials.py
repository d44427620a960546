from __future__ import annotations

from pathlib import Path

import optuna

from nas.search.sampling.first_trials import first_trials
from nas.search.sampling.initial_genomes import initial_parameters
from nas.study.sampler_spec import SamplerSpec
from nas.study.study_file import load_study
from tests.tiny_study import tiny_spec

SIZE = (8, 8)
VGG = {"architecture": {"family": "vgg", "widths": [8, 16]}}
VGG_PARAMETERS = {"family": "vgg", "width_1": 8, "width_2": 16}
STUDIES = Path(__file__).parents[4] / "studies"


def test_start_genomes_replace_the_initial_design() -> None:
    spec = tiny_spec(trials=8)
    assert first_trials(spec, SIZE) == initial_parameters(spec.space, SIZE)
    assert first_trials(tiny_spec(trials=3), SIZE) == initial_parameters(spec.space, SIZE)[:3]
    started = spec.model_copy(update={"start": (VGG, {"recipe": {"learning_rate": 0.01}})})
    assert first_trials(started, SIZE) == [VGG_PARAMETERS, {"learning_rate": 0.01}]
    assert first_trials(spec, SIZE, [VGG_PARAMETERS]) == [VGG_PARAMETERS]
    inherited = [{"family": "resnet"}, VGG_PARAMETERS]
    assert first_trials(started, SIZE, inherited)[2:] == [{"family": "resnet"}]


def test_without_an_initial_design_the_sampler_begins() -> None:
    spec = tiny_spec().model_copy(update={"sampler": SamplerSpec(initial_design=False)})
    assert first_trials(spec, SIZE) == []
    assert first_trials(spec.model_copy(update={"start": (VGG,)}), SIZE) == [VGG_PARAMETERS]
    assert first_trials(load_study(STUDIES / "reference" / "mnist_mlp.toml"), SIZE) == []


def test_the_sampler_proposes_what_a_start_genome_leaves_out() -> None:
    spec = tiny_spec().model_copy(update={"start": (VGG,)})
    study = optuna.create_study(directions=["maximize", "minimize"])
    for parameters in first_trials(spec, SIZE):
        study.enqueue_trial(parameters)
    trial = study.ask()
    genome = spec.space.sample(trial)
    assert (genome.architecture.family, genome.architecture.widths) == ("vgg", (8, 16))
    assert trial.params.keys() - VGG_PARAMETERS.keys() == {"stem_width", "learning_rate"}
