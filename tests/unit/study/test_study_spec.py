from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.space.gene_domains import RandomSuggester
from nas.study.data_spec import DataSpec
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

ROOT = Path(__file__).parents[3]
SPACE = '[architecture]\nfamily = ["vgg", "resnet"]\n'
STUDY = """
name = "tiny"
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 3
epochs = 2
"""


def _write(folder: Path, study: str = STUDY, space: str = SPACE) -> Path:
    (folder / "space.toml").write_text(space)
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"


def _faults(path: Path, **arguments: Any) -> list[str]:
    with pytest.raises(SpecificationError) as caught:
        load_study(path, **arguments)
    assert caught.value.where == str(path)
    return list(caught.value.faults)


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.toml")), ids=lambda path: path.name)
def test_the_studies_that_come_with_the_program_are_valid(path: Path) -> None:
    spec = load_study(path)
    assert spec.space.sample(RandomSuggester(0))


def test_a_study_holds_its_search_space_and_survives_json(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path))
    assert spec.search_space == {"architecture": {"family": ["vgg", "resnet"]}}
    assert spec.space.families == ("vgg", "resnet")
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_defaults(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path))
    assert (spec.sampler.name, spec.training.precision, spec.baseline.network) == ("forest", "auto", "resnet18")
    assert (spec.data.validation_fraction, spec.budget.max_params) == (0.15, None)
    stopping = spec.early_stopping
    assert (stopping.enabled, stopping.reduction, stopping.grace_epochs) == (True, 3, None)


def test_a_name_takes_the_place_of_the_files(tmp_path: Path) -> None:
    assert load_study(_write(tmp_path), name="other").name == "other"
    assert load_study(_write(tmp_path, STUDY.replace('name = "tiny"\n', "")), name="other").name == "other"


def test_the_faults_of_both_files_come_at_once(tmp_path: Path) -> None:
    study = STUDY.replace("trials = 3", "trials = 0\nhours = 2").replace("epochs = 2\n", "") + '[sampler]\nname = "x"\n'
    faults = _faults(_write(tmp_path, study, SPACE + "width = [1]\ncolour = 3\n"))
    place = f"search_space ({tmp_path / 'space.toml'}): architecture."
    assert sorted(fault.partition(": ")[0] for fault in faults[:-2]) == [
        "budget.epochs", "budget.hours", "budget.trials", "sampler.name",
    ]  # fmt: skip
    assert faults[-2].startswith(f"{place}width: input should be")
    assert faults[-1].startswith(f"{place}colour: unknown gene")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"space.toml"', '"nowhere.toml"', "search_space ("),
        ('search_space = "space.toml"', "", "search_space: missing"),
        ('"space.toml"', "3", "search_space: must be the path of a search-space file"),
        ('[data]\nsource = "digits"', "", "data: missing"),
        ('[data]\nsource = "digits"', "data = 3", "data: input should be"),
        ('"digits"', '"imagenet"', "data.source: input should be"),
        ('"digits"', '"npz"', "data.path: missing; say which npz"),
        ('"digits"', '"digits"\npath = "x"', "data.path: only for source npz, folder, table or huggingface"),
        ('"digits"', '"emnist"', "data.emnist_split: missing; one of byclass"),
        ('"digits"', '"digits"\nemnist_split = "letters"', "data.emnist_split: only for source emnist"),
        ('"digits"', '"digits"\nchannels = 3', "data.channels: only for source folder"),
        ('"digits"', '"digits"\nlong_tail = 1.0', "data.long_tail: input should be greater than 1"),
        ('"digits"', '"digits"\nvalidation_fraction = 1.0', "data.validation_fraction: input should be less than 1"),
        ("epochs = 2", 'epochs = "2"', "budget.epochs: input should be a valid integer (given: '2')"),
        ("epochs = 2", "epochs = 2\n[early_stopping]\nreduction = 1", "early_stopping.reduction: input should be gr"),
        ("epochs = 2", "epochs = 2\n[early_stopping]\ngrace_epochs = 0", "early_stopping.grace_epochs: input should"),
        ("epochs = 2", "epochs = 2\n[early_stopping]\nenabled = 1", "early_stopping.enabled: input should be a valid"),
        ("epochs = 2", "epochs = 2\n[early_stopping]\nrungs = [1]", "early_stopping.rungs: "),
        (
            "epochs = 2",
            "epochs = 2\n[baseline]\nrecipe = {loss = {gamma = 2.0}}",
            "baseline.recipe.loss: cross_entropy",
        ),
    ],
)
def test_one_fault_one_line(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in STUDY
    (reported,) = _faults(_write(tmp_path, STUDY.replace(old, new, 1)))
    assert reported.startswith(fault)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path / "nowhere.toml")
    assert fault.startswith("cannot be read")
    (fault,) = _faults(_write(tmp_path, "name = "))
    assert fault.startswith("not valid TOML")


def test_a_path_in_the_file_is_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, absolute in (("a.npz", tmp_path / "a.npz"), ("/b.npz", Path("/b.npz")), ("~/c", tmp_path / "home/c")):
        path = _write(tmp_path, STUDY.replace('"digits"', f'"npz"\npath = "{given}"'))
        assert load_study(path).data.path == str(absolute)


def test_other_data_keeps_the_limits_and_drops_what_does_not_fit(tmp_path: Path) -> None:
    path = _write(tmp_path, STUDY.replace('"digits"', '"emnist"\nemnist_split = "letters"\nseed = 7\nlong_tail = 5.0'))
    data = load_study(path, data={"source": "npz", "path": "/a.npz"}).data
    assert data == DataSpec(source="npz", path="/a.npz", seed=7, long_tail=5.0)


@pytest.mark.parametrize(("source", "image_size"), [("folder", 32), ("npz", None)])
def test_other_data_in_place_of_a_folder(tmp_path: Path, source: str, image_size: int | None) -> None:
    path = _write(tmp_path, STUDY.replace('"digits"', '"folder"\npath = "cats"\nimage_size = 32\nchannels = 1'))
    data = load_study(path, data={"source": source, "path": "/x"}).data
    assert (data.source, data.path, data.image_size) == (source, "/x", image_size)


def test_other_data_serves_a_file_that_has_none(tmp_path: Path) -> None:
    path = _write(tmp_path, STUDY.replace('[data]\nsource = "digits"', ""))
    assert load_study(path, data={"source": "npz", "path": "/a.npz"}).data.path == "/a.npz"


def test_differences_name_both_values_and_leave_the_trials_out(tmp_path: Path) -> None:
    stored = load_study(_write(tmp_path))
    assert stored.differences(stored) == []
    changed = STUDY.replace("trials = 3", "trials = 9").replace("epochs = 2", "epochs = 5\nmax_params = 10")
    space = '[architecture]\nfamily = ["vgg"]\nwidth = 8\n'
    given = load_study(_write(tmp_path, changed, space))
    assert stored.differences(given) == [
        "budget.epochs: 2 there, 5 here",
        "budget.max_params: None there, 10 here",
        "search_space.architecture.family: ['vgg', 'resnet'] there, ['vgg'] here",
        "search_space.architecture.width: absent there, 8 here",
    ]
    raised = load_study(_write(tmp_path, STUDY.replace("trials = 3", "trials = 9")))
    assert stored.differences(raised) == []


def test_a_study_of_an_earlier_version_has_the_defaults_of_this_one(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path))
    stored = StudySpec.model_validate_json(spec.model_dump_json(exclude={"early_stopping"}))
    assert stored.differences(spec) == []
    off = load_study(_write(tmp_path, STUDY + "[early_stopping]\nenabled = false\n"))
    assert stored.differences(off) == ["early_stopping.enabled: True there, False here"]


def test_grace_that_outlasts_the_training_is_noted(tmp_path: Path) -> None:
    table = "[early_stopping]\ngrace_epochs = 2\n"
    assert load_study(_write(tmp_path, STUDY + table)).notes() == [
        "early_stopping.grace_epochs: after 2 epochs of grace none of 2 is left to save"
    ]
    assert load_study(_write(tmp_path, STUDY + table + "enabled = false\n")).notes() == []


def test_a_study_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_study(_write(tmp_path)).name = "other"  # type: ignore[misc]


def test_every_fault_of_the_data_table_is_reported_beside_the_others(tmp_path: Path) -> None:
    faulty = STUDY.replace('source = "digits"', 'source = "digits"\npath = "x"\nimage_size = 32\nseed = "a"')
    names = [fault.partition(":")[0] for fault in _faults(_write(tmp_path, faulty))]
    assert names == ["data.seed", "data.path", "data.image_size"]


@pytest.mark.parametrize(("source", "refused"), [("digits", True), ("mnist", True), ("cifar10", False)])
def test_characters_are_never_mirrored(tmp_path: Path, source: str, refused: bool) -> None:
    space = SPACE + '[recipe]\naugmentation = ["none", "shift 1, flip"]\n'
    path = _write(tmp_path, STUDY.replace("digits", source), space)
    if not refused:
        assert load_study(path).space.augmentations() == {"none", "shift 1, flip"}
        return
    (fault,) = _faults(path)
    assert fault.startswith("search_space: recipe.augmentation may be 'shift 1, flip', but a mirrored character")


@pytest.mark.parametrize(("source", "refused"), [("digits", True), ("cifar10", False)])
def test_characters_are_not_mirrored_in_evaluation_either(tmp_path: Path, source: str, refused: bool) -> None:
    space = SPACE + "[architecture.resnet]\ntest_time_flip = [false, true]\n"
    path = _write(tmp_path, STUDY.replace("digits", source), space)
    if refused:
        (fault,) = _faults(path)
        assert fault.startswith("search_space: architecture.test_time_flip may be true, but a mirrored character")
    else:
        assert load_study(path).space.families == ("vgg", "resnet")


def test_patience_that_outlasts_the_training_is_noted(tmp_path: Path) -> None:
    space = SPACE + (
        '[recipe]\nschedule = "reduce_on_plateau"\nplateau_patience = { low = 1, high = 4 }\n'
        "early_stopping_patience = [0, 2]\n"
    )
    spec = load_study(_write(tmp_path, STUDY.replace("epochs = 2", "epochs = 4"), space))
    assert spec.notes() == ["recipe.plateau_patience: 4 epochs of patience cannot lower any learning rate in 4 epochs"]
    spec = load_study(_write(tmp_path, STUDY, space))
    assert len(spec.notes()) == 2
    assert load_study(_write(tmp_path)).notes() == []


def test_how_a_folder_is_fitted_can_be_said_beside_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, STUDY.replace('"digits"', '"folder"\npath = "cats"\nimage_size = 32\nseed = 7'))
    data = load_study(path, data={"image_size": 48, "channels": 1}).data
    expected = DataSpec(source="folder", path=str(tmp_path / "cats"), image_size=48, channels=1, seed=7)
    assert data == expected
    assert load_study(path, data={}).data == expected.model_copy(update={"image_size": 32, "channels": None})


def test_only_a_folder_is_fitted(tmp_path: Path) -> None:
    path = _write(tmp_path)
    (fault,) = _faults(path, data={"image_size": 48})
    assert fault == "data.image_size: only for source folder, table, huggingface or eurosat, not 'digits'; remove it"
    given = {"source": "folder", "path": "/cats", "image_size": 48}
    assert load_study(path, data=given).data == DataSpec(source="folder", path="/cats", image_size=48)


PAIRS = STUDY.replace('"digits"', '"digits"\n[data.pairs]\nrelation = "same"')
PAIR_SPACE = SPACE + "siamese = [true, false]\n[recipe]\nauxiliary_weight = [0.0, 0.3]\n"


def test_pairs_are_searched_with_and_without_genes_of_their_own(tmp_path: Path) -> None:
    for space, pair_genes in ((SPACE, 0), (PAIR_SPACE, 2)):
        spec = load_study(_write(tmp_path, PAIRS, space))
        assert spec.data.pairs is not None
        assert spec.data.pairs.classes == ("different", "same")
        assert len(spec.space.pair_genes) == pair_genes
        assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("study", "space", "fault"),
    [
        (
            STUDY, PAIR_SPACE,
            "search_space: architecture.siamese, recipe.auxiliary_weight: only for pairs of images; add [data.pairs], "
            "or leave it out",
        ),
        (
            PAIRS + "[baseline]\npretrained = true\n", SPACE,
            "baseline: pretrained_resnet18 takes one image, not a pair; remove it, or [data.pairs]",
        ),
        (
            STUDY.replace('search_space = "space.toml"', "").replace("trials = 3", "")
            + '[genome.architecture]\nfamily = "pair"\nbranch = { family = "resnet18" }\n[grid]\nseeds = [0, 1]\n', "",
            "genome.architecture: a pair architecture takes pairs of images, and these are single ones; "
            "add [data.pairs]",
        ),
        (
            STUDY + "[baseline.recipe]\nauxiliary_weight = 0.2\n", SPACE,
            "baseline: auxiliary_weight 0.2 without classifiers of both images' classes; only a pair architecture with "
            "auxiliary = true has them",
        ),
        (
            PAIRS.replace('"same"', '"larger"\ntrain = 0'), SPACE,
            "data.pairs.train: input should be greater than or equal to 1 (given: 0)",
        ),
        (PAIRS.replace('"same"', '"smaller"'), SPACE, "data.pairs.relation: input should be 'larger' or 'same' (given"),
        (STUDY.replace('"digits"', '"digits"\nshrink = 1'), SPACE, "data.shrink: input should be greater than or equ"),
    ],
)  # fmt: skip
def test_pairs_and_what_is_for_them_come_together(tmp_path: Path, study: str, space: str, fault: str) -> None:
    (reported,) = _faults(_write(tmp_path, study, space))
    assert reported.startswith(fault)


def test_keys_that_do_not_apply_to_other_images_are_named(tmp_path: Path) -> None:
    study = STUDY.replace('source = "digits"', 'source = "folder"\npath = "photos"\nimage_size = 32\nseed = 3')
    spec = load_study(_write(tmp_path, study), {"source": "npz", "path": "/x.npz"})
    assert spec.data.seed == 3
    assert spec.notes()[0] == "data.image_size is not used: it does not apply to npz"
    assert load_study(_write(tmp_path, study), {"source": "table", "path": "/x.csv"}).data_notes == []
    assert StudySpec.model_validate_json(spec.model_dump_json()).data_notes == []
