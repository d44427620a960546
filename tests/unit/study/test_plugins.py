"""Plugins of a study: found, checked in one line each, recorded with their hash, and found again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.errors import SpecificationError, StudyError
from nas.space import plugin_parts
from nas.space.gene_definitions import ARCHITECTURE_GENES, RECIPE_GENES
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.recipe import Loss
from nas.study.plugin_spec import PluginSpec, inspect_plugins
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
FAULTS = {
    "raise ValueError('of mine')": "ValueError: of mine",
    "import numppy": "ModuleNotFoundError: No module named 'numppy'",
    "x = 1": "it registers nothing; decorate a function with @nas.loss or @nas.block_family",
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
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Take back what a test declares, since other tests go through all losses and families."""
    changed: tuple[Any, ...] = (
        Loss.PARAMETERS, Loss.RANGES, RECIPE_GENES, ARCHITECTURE_GENES, plugin_parts._DECLARED_LOSSES,
    )  # fmt: skip
    before = [dict(one) for one in changed]
    families = set(plugin_parts._DECLARED_FAMILIES)
    yield
    for one, former in zip(changed, before, strict=True):
        one.clear()
        one.update(former)
    plugin_parts._DECLARED_FAMILIES.intersection_update(families)


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
    assert [plugin.module for plugin in spec.plugins] == ["my_losses", "my_blocks"]
    assert spec.plugins[0].losses == {"poly1": {"epsilon": (1.0, -1.0, 5.0)}}
    assert spec.plugins[1].families == ("mixer",)
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
