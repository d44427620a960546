"""Several baselines in a study file: reference, names, files and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import SpecificationError
from nas.space.reference_models import FileArchitecture, NumberArchitecture
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

HEAD = 'name = "s"\nsearch_space = "space.toml"\n[data]\nsource = "digits"\n[budget]\ntrials = 2\nepochs = 1\n'
NETWORK = '[[baseline]]\nnetwork = "vgg11"\n'
FILE = '[[baseline]]\nfile = "old.onnx"\nclasses = ["0"]\npixels = "0-1"\n'
NUMBER = '[[baseline]]\nname = "paper"\nscore = 0.91\nparams = 2_300_000\n'


def _load(folder: Path, text: str) -> StudySpec:
    (folder / "space.toml").write_text('[architecture]\nfamily = "vgg"\n[recipe]\ndistillation = ["none", "logits"]\n')
    (folder / "old.onnx").write_bytes(b"a network")
    (folder / "study.toml").write_text(HEAD + text + TEACHER * ("[distillation]" not in text))
    return load_study(folder / "study.toml")


TEACHER = '[distillation]\nteacher = "baseline"\n'


def test_the_first_is_the_reference(tmp_path: Path) -> None:
    spec = _load(tmp_path, NETWORK + FILE + NUMBER)
    assert [one.title for one in spec.baselines] == ["vgg11", "old.onnx", "paper"]
    assert spec.baseline.network == "vgg11"
    architectures = [one.architecture for one in spec.other_baselines]
    assert isinstance(architectures[0], FileArchitecture)
    assert architectures[1] == NumberArchitecture(name="paper", score=0.91, params=2_300_000)
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("reference", ["old.onnx", "paper", "vgg11"])
def test_the_target_names_the_reference(tmp_path: Path, reference: str) -> None:
    spec = _load(tmp_path, NETWORK + FILE + NUMBER + f'[target]\nreference = "{reference}"\n'
                 + '[distillation]\nteacher = "vgg11"\n')  # fmt: skip
    assert spec.baseline.title == reference
    assert {one.title for one in spec.baselines} == {"vgg11", "old.onnx", "paper"}
    assert spec.has_target
    assert spec.teacher_baseline is not None
    assert spec.teacher_baseline.network == "vgg11"


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    spec = _load(tmp_path, FILE)
    moved = tmp_path / "moved"
    moved.mkdir()
    assert spec.differences(_load(moved, FILE)) == []
    (moved / "old.onnx").write_bytes(b"another")
    (difference,) = spec.differences(load_study(moved / "study.toml"))
    assert difference.startswith("baseline.sha256: ")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (NETWORK + NETWORK, "baseline: two are called 'vgg11'; give each a name"),
        (FILE.replace("old", "lost"), "baseline 1.file: "),
        (FILE + "sha256 = 'abc'\n", "baseline 1.sha256: "),
        (NETWORK + '[target]\nreference = "vgg13"\n', "target.reference: no baseline 'vgg13'; "),
        (
            NETWORK + '[[baseline]]\nenabled = false\nname = "x"\n[target]\nreference = "x"\n',
            "baseline.enabled: not with",
        ),
        (NUMBER, "distillation.teacher: 'paper' is a number, which has no logits; name another one"),
        (NETWORK + '[distillation]\nteacher = "vgg13"\n', "distillation.teacher: no baseline 'vgg13'; the study has"),
        (NETWORK.replace("vgg11", "vgg12"), "baseline: network 'vgg12': no classification network of torchvision; did"),
        (NETWORK + '[[baseline]]\nnetwork = "resnet34"\nname = "none"\n', "baseline.name: not 'none'"),
        (
            NETWORK + "pretrained = true\n" + '[[baseline]]\nnetwork = "resnet34"\npretrained = true\n',
            "baseline: one pretrained network a study, not vgg11 and resnet34",
        ),
    ],
)
def test_one_fault_one_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        _load(tmp_path, text)
    (reported,) = caught.value.faults
    assert reported.startswith(fault)
