from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.space.recipe import Loss
from nas.space.toml_file import merge_tables
from nas.study.grid_spec import Fold, GridSpec, replaces_table
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

BASE: dict[str, Any] = {
    "architecture": {"family": "vgg", "stem_width": 8, "depths": [1, 1], "widths": [8, 16]},
    "recipe": {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}},
}
FILE = """
name = "grid"
[data]
source = "digits"
[budget]
epochs = 4
[genome.architecture]
family = "vgg"
stem_width = 8
depths = [1, 1]
widths = [8, 16]
[grid]
seeds = [3, 5]
[grid.options.loss]
plain = {}
focal = { recipe.loss = "focal" }
[grid.genes.recipe]
learning_rate = [0.1, 0.01]
[quick.budget]
epochs = 1
[quick.data]
max_train_images = 50
"""


def _write(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def _grid(**table: Any) -> GridSpec:
    return GridSpec.model_validate(table)


def test_the_points_are_all_combinations() -> None:
    grid = _grid(
        seeds=[1, 2], folds=3, options={"loss": {"a": {}, "b": {}}}, genes={"recipe": {"ema_decay": [0.0, 0.9]}}
    )
    assert grid.parameters == {"loss": ("a", "b"), "ema_decay": ("0.0", "0.9"), "seed": (1, 2), "fold": (0, 1, 2)}
    assert grid.size == 24
    assert list(grid.settings())[:3] == [
        {"loss": "a", "ema_decay": "0.0"}, {"loss": "a", "ema_decay": "0.9"}, {"loss": "b", "ema_decay": "0.0"},
    ]  # fmt: skip


def test_a_point_is_the_genome_with_its_options_the_seed_and_the_fold() -> None:
    grid = _grid(
        seeds=[7], folds=2, options={"loss": {"focal": {"recipe": {"loss": {"name": "focal", "gamma": 1.0}}}}},
        genes={"recipe": {"learning_rate": [0.25]}, "architecture": {"factorized": [True]}},
    )  # fmt: skip
    point = grid.point(BASE, {"loss": "focal", "learning_rate": "0.25", "factorized": "true", "seed": 7, "fold": 1})
    assert point.seed == 7
    assert point.fold == Fold(1, 2)
    assert point.genome.recipe.loss == Loss(name="focal", gamma=1.0)
    assert point.genome.recipe.learning_rate == 0.25
    assert point.genome.architecture.factorized  # type: ignore[union-attr]


def test_without_seeds_and_folds_both_are_the_studys() -> None:
    point = _grid(options={"one": {"only": {}}}).point(BASE, {"one": "only"})
    assert point.seed is None
    assert point.fold is None
    assert _grid().size == 1


def test_a_table_of_another_name_replaces_the_whole_and_one_of_the_same_is_completed() -> None:
    tables = {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}, "rate": 1}
    assert merge_tables(tables, {"loss": {"name": "focal"}}, replaces_table) == {"loss": {"name": "focal"}, "rate": 1}
    assert merge_tables(tables, {"loss": {"name": "cross_entropy", "x": 1}}, replaces_table)["loss"] == {
        "name": "cross_entropy", "label_smoothing": 0.1, "x": 1,
    }  # fmt: skip
    assert merge_tables(tables, {"loss": "focal"}, replaces_table)["loss"] == "focal"
    assert tables["rate"] == 1


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"seeds": [1, 1]}, "seeds: one is given twice"),
        ({"options": {"seed": {"a": {}}}}, "'seed' is a dimension of its own"),
        ({"options": {"loss": {}}}, "options.loss: no options"),
        ({"genes": {"recipe": {"learning_rate": 0.1}}}, "genes.recipe.learning_rate: a list of values, not 0.1"),
        (
            {"options": {"loss": {"a": {}}}, "genes": {"recipe": {"loss": ["focal"]}}},
            "there is a dimension 'loss' already",
        ),
        ({"folds": 1}, "folds"),
        ({"genes": {"recipe": {"ema_decay": [0.5, 0.5]}}}, "genes.recipe.ema_decay: a value is given twice"),
        ({"options": 5, "genes": {"recipe": {"ema_decay": [0.5]}}}, "options: must be a table"),
    ],
)
def test_faults_of_a_grid(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        GridSpec.model_validate(table)


def test_a_parameter_given_before_the_option_that_takes_it_is_not_lost() -> None:
    grid = _grid(genes={"recipe": {"loss": {"gamma": [1.0, 4.0], "name": ["focal"]}}})
    base = {"architecture": BASE["architecture"]}
    gammas = [grid.genome(base, setting).recipe.loss.gamma for setting in grid.settings()]
    assert gammas == [1.0, 4.0]


def test_a_date_in_a_genome_is_a_fault(tmp_path: Path) -> None:
    path = _write(tmp_path, FILE.replace('recipe.loss = "focal"', "recipe.loss = 2020-01-01"))
    with pytest.raises(SpecificationError, match=r"unknown loss '2020-01-01'"):
        load_study(path)


def test_a_file_with_a_grid_is_a_study_of_its_points(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path))
    assert (spec.budget.trials, spec.sampler.name, spec.early_stopping.enabled) == (8, "grid", False)
    assert spec.families == ("vgg",)
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_quick_tables_take_the_place_of_the_others(tmp_path: Path) -> None:
    path = _write(tmp_path)
    quick, whole = load_study(path, quick=True), load_study(path)
    assert (quick.name, quick.budget.epochs, quick.data.max_train_images) == ("grid-quick", 1, 50)
    assert (whole.name, whole.budget.epochs, whole.data.max_train_images) == ("grid", 4, None)
    assert quick.grid == whole.grid
    assert load_study(path, name="mine", quick=True).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('focal = { recipe.loss = "focal" }', 'focal = { recipe.loss = "fokal" }', "'fokal'.*in loss focal"),
        ("[data]", 'search_space = "space.toml"\n[data]', "search_space"),
        ("[budget]", "[budget]\ntrials = 3", "the grid has 8 points, not 3"),
        ("[grid]", '[sampler]\nname = "tpe"\n[grid]', "'grid' where there is a .grid., not 'tpe'"),
        ("[grid]", "[early_stopping]\nenabled = true\n[grid]", "not for a grid"),
        ("[genome.architecture]", '[genome.recipe]\naugmentation = "flip"\n[genome.architecture]', "mirrored"),
        ("[genome.architecture]", "[genome.architecture]\ntest_time_flip = true", "test_time_flip may be true, but a"),
    ],
)  # fmt: skip
def test_faults_of_a_study_with_a_grid(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = _write(tmp_path, FILE.replace(old, new, 1))
    (tmp_path / "space.toml").write_text('[architecture]\nfamily = "vgg"\n')
    with pytest.raises(SpecificationError, match=fault):
        load_study(path)


def test_quick_needs_its_table(tmp_path: Path) -> None:
    path = _write(tmp_path, FILE[: FILE.index("[quick")])
    with pytest.raises(SpecificationError, match=r"quick: missing"):
        load_study(path, quick=True)


def test_the_quick_form_is_checked_also_where_it_is_not_wanted(tmp_path: Path) -> None:
    path = _write(tmp_path, FILE.replace("max_train_images = 50", "max_images = 50"))
    with pytest.raises(SpecificationError, match=r"with --quick: data.max_images: unknown key"):
        load_study(path)
    path = _write(tmp_path, "quick = 1\n" + FILE[: FILE.index("[quick")])
    with pytest.raises(SpecificationError, match=r"quick: must be a table"):
        load_study(path)


def test_the_command_line_is_not_held_against_a_quick_form_that_is_not_wanted(tmp_path: Path) -> None:
    text = FILE.replace('source = "digits"', 'source = "eurosat"').replace(
        "[quick.data]", '[quick.data]\nsource = "digits"'
    )
    assert load_study(_write(tmp_path, text), {"image_size": 32}).data.image_size == 32
    name = "n" * 98
    path = _write(tmp_path, FILE.replace('"grid"', f'"{name}"'))
    assert load_study(path).name == name
    with pytest.raises(SpecificationError, match="name: "):
        load_study(path, quick=True)


def test_dimensions_may_be_called_as_the_keys_that_name_an_option(tmp_path: Path) -> None:
    text = FILE.replace("[grid.options.loss]", "[grid.options.family]\nvgg = {}\n[grid.options.name]\nx = {}")
    text = text.replace('focal = { recipe.loss = "focal" }', "") + "[quick.grid.options.family]\nwide = {}\n"
    text = text.replace("plain = {}", "")
    quick = load_study(_write(tmp_path, text), quick=True)
    assert quick.grid is not None
    assert {name: list(options) for name, options in quick.grid.options.items()} == {
        "family": ["vgg", "wide"], "name": ["x"], "learning_rate": ["0.1", "0.01"],
    }  # fmt: skip


def test_folds_of_a_long_tail_are_refused(tmp_path: Path) -> None:
    text = FILE.replace('source = "digits"', 'source = "digits"\nlong_tail = 10').replace("seeds = [3, 5]", "folds = 2")
    with pytest.raises(SpecificationError, match=r"grid.folds: not with data.long_tail"):
        load_study(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("objectives", "sampler", "fault"),
    [
        ('["params"]', "tpe", "objectives: no score 'params'"),
        ('["macro_f1"]', "forest", "forest weighs a score against a cost"),
        ('["macro_f1"]', "nsga2", "nsga2 weighs a score against a cost"),
    ],
)
def test_faults_of_objectives(tmp_path: Path, objectives: str, sampler: str, fault: str) -> None:
    (tmp_path / "space.toml").write_text('[architecture]\nfamily = "vgg"\n')
    text = f"""
name = "one"
objectives = {objectives}
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 2
epochs = 1
[sampler]
name = "{sampler}"
"""
    with pytest.raises(SpecificationError, match=fault):
        load_study(_write(tmp_path, text))
