"""Plugins of a study: found, checked in one line each, recorded with their hash, and found again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import ArchitectureError, SpecificationError, StudyError
from nas.space import plugin_parts
from nas.space.gene_definitions import ARCHITECTURE_GENES, RECIPE_GENES
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.recipe import Loss
from nas.study import cost_definitions, plugin_objectives, score_definitions
from nas.study.cost_definitions import cost_definition
from nas.study.plugin_objectives import CostWords
from nas.study.plugin_spec import PluginSpec, inspect_plugins
from nas.study.score_definitions import score_definition
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"
LOSS = """
import nas

@nas.loss("{name}", strength=(1.0, 0.0, 2.0))
def loss(logits, labels, counts, *, strength):
    chosen = logits.gather(1, labels[:, None])[:, 0]
    return {value}
"""
COST = """
import nas

@nas.cost("{name}", unit="J")
def cost(network):
    return {value}
"""
METRIC = """
import nas

@nas.metric("{name}")
def metric(confusion):
    return {value}
"""
FAULTS = {
    "raise ValueError('of mine')": "ValueError: of mine",
    "import numppy": "ModuleNotFoundError: No module named 'numppy'",
    "x = 1": (
        "it registers nothing; decorate a function with @nas.loss, @nas.block_family, @nas.cost or @nas.metric"
    ),
    "import os; os._exit(3)": "it ended the process that checked it: exit code 3",
    LOSS.format(name="mean_loss", value="-chosen.mean()"): (
        "loss 'mean_loss': returns shape [] with 2 classes and default parameters; give one value an image, [6]"
    ),
    LOSS.format(name="cut_loss", value="-chosen.detach()"): (
        "loss 'cut_loss': has no gradient with 2 classes and default parameters; compute it from the logits with "
        "torch alone"
    ),
    LOSS.format(name="bad_loss", value="-chosen / strength"): (
        "loss 'bad_loss': returns values that are not finite with 2 classes and lowest parameters"
    ),
    LOSS.format(name="focal", value="-chosen"): (
        "ValueError: 'focal': a gene or an option has this name; give another one"
    ),
    LOSS.format(name="a_loss", value="-chosen").replace("(1.0, 0.0, 2.0)", "3"): (
        "ValueError: loss 'a_loss': strength: give default, lowest and highest value, as (1.0, 0.0, 2.0)"
    ),
    LOSS.format(name="a_loss", value="-chosen").replace("strength", "gamma"): (
        "ValueError: loss 'a_loss': another gene is called 'gamma'; give the parameter another name"
    ),
    "import nas\nimport torch\n@nas.block_family('narrow')\ndef f(i, o, s, a): return torch.nn.Conv2d(i, o, 3, s)": (
        "family 'narrow': gives shape [2, 8, 6, 6] from 8 to 8 channels with stride 1 on maps of 8×8; [2, 8, 8, 8] is "
        "expected"
    ),
    "import nas\n@nas.block_family('nothing')\ndef f(i, o, s, a): return None": (
        "family 'nothing': returns NoneType, not a torch.nn.Module"
    ),
    COST.format(name="a_cost", value="network.counted.no_such"): (
        "cost 'a_cost': AttributeError: 'Cost' object has no attribute 'no_such', for a network of family 'vgg'"
    ),
    COST.format(name="b_cost", value="getattr(network.architecture, 'stem_width', -3)"): (
        "cost 'b_cost': returns -3; give a finite number above 0, for a network of family 'plain'"
    ),
    COST.format(name="latency_ms", value="1.0"): (
        "ValueError: cost 'latency_ms': another cost has this name; give it another one"
    ),
    METRIC.format(name="a_metric", value="confusion.trace()"): (
        "metric 'a_metric': returns 10; give a number from 0 to 1, for a confusion matrix [2, 2], mixed"
    ),
    METRIC.format(name="b_metric", value="1 - confusion.trace() / confusion.sum()"): (
        "metric 'b_metric': gives 0 where all images are right, and 0.524 where some are wrong; a metric is higher the "
        "better"
    ),
    METRIC.format(name="c_metric", value="(confusion.diagonal() / confusion.sum(0)).mean()"): (
        "metric 'c_metric': returns nan; give a number from 0 to 1, for a confusion matrix [2, 2], never predicting "
        "the first class"
    ),
    METRIC.format(name="d_metric", value="1 / 0"): (
        "metric 'd_metric': ZeroDivisionError: division by zero, for a confusion matrix [2, 2], mixed"
    ),
    METRIC.format(name="accuracy", value="1.0"): (
        "ValueError: metric 'accuracy': another score has this name; give it another one"
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Take back what a test declares, since other tests go through all losses and families."""
    changed: tuple[Any, ...] = (
        Loss.PARAMETERS, Loss.RANGES, RECIPE_GENES, ARCHITECTURE_GENES, plugin_parts._DECLARED_LOSSES,
        cost_definitions._REGISTRY, score_definitions._REGISTRY, plugin_objectives._DECLARED_COSTS,
        plugin_objectives.LOADED_COSTS, plugin_objectives.LOADED_METRICS,
    )  # fmt: skip
    before = [dict(one) for one in changed]
    families, metrics = set(plugin_parts._DECLARED_FAMILIES), set(plugin_objectives._DECLARED_METRICS)
    yield
    for one, former in zip(changed, before, strict=True):
        one.clear()
        one.update(former)
    plugin_parts._DECLARED_FAMILIES.intersection_update(families)
    plugin_objectives._DECLARED_METRICS.intersection_update(metrics)


def write_page(folder: Path) -> Path:
    """Write the files of the page, which are named in their first lines; return the study file."""
    for name, text in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "my_study.toml"


@pytest.mark.parametrize("code", FAULTS, ids=lambda code: FAULTS[code][:40])
def test_a_fault_is_one_line(code: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    assert inspect_plugins(["mine"], tmp_path) == ([], [f"plugins: mine: {FAULTS[code]}"])


def test_a_module_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    _, faults = inspect_plugins(["of_nobody", "no name"], tmp_path)
    assert faults == [
        f"plugins: of_nobody: there is no {tmp_path / 'of_nobody.py'}, and no module of that name can be imported",
        "plugins: 'no name' is no name of a module; write my_losses for my_losses.py",
    ]


def test_the_page_is_a_study_whose_space_has_its_parts(tmp_path: Path) -> None:
    spec = load_study(write_page(tmp_path))
    assert [plugin.module for plugin in spec.plugins] == ["my_losses", "my_blocks", "my_objectives"]
    assert spec.plugins[0].losses == {"poly1": {"epsilon": (1.0, -1.0, 5.0)}}
    assert spec.plugins[1].families == ("mixer",)
    assert spec.plugins[2].metrics == ("macro_f2",)
    assert spec.plugins[2].costs["energy_uj"].unit == "µJ"
    assert spec.measured_costs == ("energy_uj",)
    assert spec.budget.limits == {"energy_uj": 20.0}
    assert spec.pair.cost_definition.text(1.25) == "1.25 µJ"
    assert spec.pair.score_definition.title == "macro f2"
    genomes = [spec.space.sample(RandomSuggester(seed), (8, 8)) for seed in range(30)]
    assert {genome.family for genome in genomes} == {"vgg", "mixer"}
    losses = {genome.recipe.loss.name: genome.recipe.loss.parameters for genome in genomes}
    assert losses.keys() == {"cross_entropy", "poly1"}
    assert 0.5 <= losses["poly1"]["epsilon"] <= 2.0
    assert all(Genome.from_json(genome.canonical_json) == genome for genome in genomes)
    assert len({genome.key for genome in genomes if genome.recipe.loss.name == "poly1"}) > 3
    stored = StudySpec.model_validate_json(spec.model_dump_json())
    assert stored == spec
    assert stored.differences(spec) == []


def test_a_parameter_of_a_plugin_has_its_bounds(tmp_path: Path) -> None:
    study = write_page(tmp_path)
    space = (tmp_path / "my_space.toml").read_text(encoding="utf-8")
    (tmp_path / "my_space.toml").write_text(space.replace("high = 2.0", "high = 9.0"), encoding="utf-8")
    with pytest.raises(SpecificationError, match=r"recipe\.poly1\.epsilon: .* less than or equal to 5"):
        load_study(study)


def test_the_file_is_found_with_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_study(write_page(tmp_path)).plugins[0]
    assert spec.find() == tmp_path / "my_losses.py"
    elsewhere = PluginSpec.model_validate_json(json.dumps(spec.model_dump(mode="json") | {"file": "/nowhere/m.py"}))
    with pytest.raises(StudyError, match=r"plugin 'my_losses' is missing here: there is no /nowhere/m\.py.*PYTHONPATH"):
        elsewhere.find()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert elsewhere.find() == tmp_path / "my_losses.py"
    (tmp_path / "my_losses.py").write_text("# changed", encoding="utf-8")
    with pytest.raises(
        StudyError, match=r"plugin 'my_losses': .*my_losses\.py has changed since the study was created"
    ):
        spec.find()


def test_values_out_of_range_are_one_line_where_they_are_computed() -> None:
    plugin_objectives.cost("odd_cost", unit="J")(lambda network: network)
    plugin_objectives.metric("odd_metric")(lambda confusion: confusion[0, 0])
    measure, score = cost_definition("odd_cost").measurement(), score_definition("odd_metric").value
    assert measure(np.float32(2.5)) == 2.5
    for value, fault in ((0, "returns 0;"), (math.inf, "returns inf;"), ([], "returns list, not a number")):
        with pytest.raises(ArchitectureError, match=f"cost 'odd_cost': {fault}"):
            measure(value)
    assert score(np.full((2, 2), 0.5), ("a", "b")) == 0.5
    with pytest.raises(StudyError, match="metric 'odd_metric': returns 2; give a number from 0 to 1"):
        score(np.full((2, 2), 2.0), ("a", "b"))


def test_the_same_declaration_can_be_repeated_and_another_is_refused() -> None:
    words = CostWords(unit="J")
    plugin_objectives.declare_objectives({"odd_cost": words}, ["odd_metric"])
    plugin_objectives.declare_objectives({"odd_cost": words}, ["odd_metric"])
    with pytest.raises(ValueError, match="cost 'odd_cost': this process knows one with another unit"):
        plugin_objectives.declare_cost("odd_cost", CostWords(unit="kJ"))
    with pytest.raises(StudyError, match="cost 'odd_cost' is a plugin's that this process has not loaded"):
        cost_definition("odd_cost").measurement()(None)
