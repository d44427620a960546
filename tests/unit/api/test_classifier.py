"""The estimator follows scikit-learn: with images, and by scikit-learn's own checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from nas.api.classifier import Classifier
from nas.api.network import ImageNetwork

_FITS_TABLES = "fits a table of one to twenty numbers a row, which are no images"
FAILED_CHECKS = dict.fromkeys(
    (
        "check_classifier_data_not_an_array", "check_classifiers_classes", "check_classifiers_train",
        "check_dict_unchanged", "check_dont_overwrite_parameters", "check_dtype_object", "check_estimators_dtypes",
        "check_estimators_fit_returns_self", "check_estimators_nan_inf", "check_estimators_overwrite_params",
        "check_estimators_pickle", "check_f_contiguous_array_estimator", "check_fit2d_1feature",
        "check_fit2d_predict1d", "check_fit_check_is_fitted", "check_fit_idempotent", "check_fit_score_takes_y",
        "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_n_features_in",
        "check_n_features_in_after_fitting", "check_pipeline_consistency", "check_readonly_memmap_input",
        "check_supervised_y_2d",
    ),
    _FITS_TABLES,
)  # fmt: skip
"""Checks of scikit-learn that the estimator does not pass, with the reason."""


class _Linear(nn.Module):
    """Least squares on pixels, in place of a search."""

    def __init__(self, pixels: np.ndarray, indices: np.ndarray, num_classes: int) -> None:
        super().__init__()
        inputs = self._inputs(torch.from_numpy(pixels)[:, None])
        targets = torch.eye(num_classes, dtype=torch.float64)[torch.from_numpy(indices)]
        gram = inputs.T @ inputs + 1e-6 * torch.eye(inputs.shape[1], dtype=torch.float64)
        self.weights = nn.Parameter(torch.linalg.solve(gram, inputs.T @ targets))

    @staticmethod
    def _inputs(images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1).double() / 255
        return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.float64)], 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 10 * self._inputs(images) @ self.weights


class TableClassifier(Classifier):
    """The estimator with a table's row drawn as an image, and with a linear network instead of a search."""

    def _scale_of(self, images: np.ndarray) -> Any:
        super()._scale_of(images)
        return images.min(0), np.maximum(np.ptp(images, axis=0), 1e-12)

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        lowest, width = self._scale
        scaled = np.clip((np.asarray(images, np.float64) - lowest) / width * 200 + 20, 0, 255)
        padded = np.zeros((len(images), 64), np.uint8)
        padded[:, : images.shape[1]] = np.rint(scaled)
        return padded.reshape(-1, 8, 8)

    def _search(self, pixels: np.ndarray, indices_N: np.ndarray) -> tuple[ImageNetwork, str]:
        network = _Linear(pixels, indices_N, len(self.classes_))
        return ImageNetwork(network, tuple(map(str, self.classes_)), (1, 8, 8), {}), "none"


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass_as_far_as_tables_are_images() -> None:
    results = check_estimator(
        Classifier(), expected_failed_checks=FAILED_CHECKS, on_skip=None, on_fail="raise"
    )  # fmt: skip
    failed = [result for result in results if result["status"] == "xfail"]
    assert {result["check_name"] for result in failed} == FAILED_CHECKS.keys()
    assert all("pixels in a row are no square" in str(result["exception"]) for result in failed)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass_with_rows_drawn_as_images() -> None:
    check_estimator(TableClassifier(), on_skip=None, on_fail="raise")


def test_flat_images_need_a_shape_unless_they_are_square() -> None:
    with pytest.raises(ValueError, match=r"60 pixels in a row are no square .* image_shape=\(H, W\)"):
        Classifier().fit(np.zeros((6, 60)), [0, 0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"image_shape \(6, 9\) where flat images have 60 pixels"):
        Classifier(image_shape=(6, 9)).fit(np.zeros((6, 60)), [0, 0, 0, 1, 1, 1])


def test_values_that_are_no_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Negative values in data: -1 to 0; give pixels 0-255"):
        Classifier().fit(np.array([[-1.0] * 64] * 3 + [[0.0] * 64] * 3), [0, 0, 0, 1, 1, 1])


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least two classes"):
        Classifier().fit(np.zeros((6, 64)), [0] * 6)


def test_parameters_are_cloned() -> None:
    parameters = clone(Classifier(trials=3, target=0.9, tables={"budget": {"max_params": 9}})).get_params()
    assert (parameters["trials"], parameters["target"]) == (3, 0.9)
