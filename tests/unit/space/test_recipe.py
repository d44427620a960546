from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nas.space.recipe import CHOICES, Imbalance, Loss, Recipe, Schedule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "hinge"}, "unknown loss 'hinge'; known: cross_entropy, all_class, focal, balanced_softmax"),
        ({"name": "focal", "gamma": 1.0, "tau": 0.9}, "focal takes no tau"),
        ({"gamma": 1.0}, "cross_entropy takes no gamma"),
        ({"name": "all_class", "label_smoothing": 0.1}, "all_class takes no label_smoothing: it drives wrong classes"),
        ({"name": "focal", "gamma": 11.0}, "less than or equal to 10"),
        ({"name": 3}, "valid string"),
        ([], "valid dictionary"),
    ],
)
def test_an_option_takes_its_own_parameters_alone(given: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Loss.model_validate(given)


@pytest.mark.parametrize(("choice", "option"), [(c, o) for c in CHOICES.values() for o in c.PARAMETERS])
def test_omitted_parameters_get_their_defaults(choice: Any, option: str) -> None:
    by_name = choice.model_validate(option)
    assert by_name == choice(name=option) == choice(name=option, **choice.PARAMETERS[option])
    assert by_name.parameters == choice.PARAMETERS[option]


def test_parameters_and_those_of_other_options() -> None:
    assert Loss(name="focal", gamma=1.0).parameter("gamma") == 1.0
    with pytest.raises(KeyError):
        Loss().parameter("gamma")


@pytest.mark.parametrize("imbalance", [name for name in Imbalance.PARAMETERS if name != "none"])
@pytest.mark.parametrize("loss", ["balanced_softmax", "logit_adjustment", "ldam"])
def test_class_frequencies_are_corrected_once(imbalance: str, loss: str) -> None:
    with pytest.raises(ValidationError, match=f"imbalance '{imbalance}' with loss '{loss}': both correct"):
        Recipe(imbalance=Imbalance(name=imbalance), loss=Loss(name=loss))
    Recipe(imbalance=Imbalance(), loss=Loss(name=loss))
    Recipe(imbalance=Imbalance(name=imbalance), loss=Loss(name="focal"))


@pytest.mark.parametrize("smote", ["smote", "borderline_smote"])
@pytest.mark.parametrize("mixing", ["mixup 0.2", "shift 1, cutmix 1"])
def test_smote_and_mixing_exclude_each_other(smote: str, mixing: str) -> None:
    with pytest.raises(ValidationError, match=f"imbalance '{smote}' with augmentation '{mixing}': the one draws"):
        Recipe(imbalance=Imbalance(name=smote), augmentation=mixing)
    Recipe(imbalance=Imbalance(name=smote), augmentation="shift 1, cutout 0.25")
    Recipe(imbalance=Imbalance(name="balanced_sampling"), augmentation=mixing)


def test_reweighting_and_sampling_are_one_choice() -> None:
    assert {"reweighting", "balanced_sampling"} <= set(Imbalance.PARAMETERS)


def test_a_recipe_may_be_written_with_names_alone() -> None:
    table = {"loss": "focal", "schedule": {"name": "step", "decay_every": 0.5}, "imbalance": "smote"}
    recipe = Recipe.model_validate(table)
    assert recipe.loss == Loss(name="focal", gamma=2.0)
    assert recipe.schedule == Schedule(name="step", decay_factor=0.1, decay_every=0.5)
    assert recipe.imbalance.parameters == {"neighbors": 5}


@pytest.mark.parametrize("blend", [{"imbalance": "smote"}, {"imbalance": "borderline_smote"}, {"augmentation": "mixup"},
                                   {"augmentation": "cutmix"}])  # fmt: skip
def test_what_blends_pairs_leaves_an_auxiliary_loss_no_classes(blend: dict[str, str]) -> None:
    Recipe.model_validate(blend)
    ((name, option),) = blend.items()
    with pytest.raises(ValidationError, match=rf"auxiliary_weight with {name} '{option}.*of no class"):
        Recipe.model_validate({**blend, "auxiliary_weight": 0.3})
