"""A search as an estimator of scikit-learn.

Dimensions: N images, C channels, H and W pixels, K classes, D = C·H·W pixels of a flat image.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

if TYPE_CHECKING:
    from nas.api.network import ImageNetwork
    from nas.api.new_study import NewStudySettings

Array = npt.NDArray[Any]
_MIN_SIDE = 4


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier of images whose network is searched for in `fit`.

    `fit` runs a study of its own; a validation part of the images, of each class at least one, scores the trials. The
    same images, labels and parameters are the same study: an interrupted `fit` goes on, a repeated one trains nothing.

    Args:
        trials: Number of networks that are trained.
        epochs: Epochs of each training.
        max_params: Maximum number of parameters; None for no limit.
        target: Macro-F1 on the validation images at which the smallest network is taken; None for the network with
            the highest.
        search_space: As in `Study.create`.
        image_shape: Rows and columns, or rows, columns and channels, of images that come flat, [N, D]; None for square
            grey images.
        tables: Further tables of a study file.
        workers: Number of concurrent trials; None for one per core.
        home: Folder of the embedded database; None for `NAS_HOME`, or `.nas` here.
        random_state: Seed of splits and trainings.
        verbose: Show the progress of the search.

    Attributes:
        classes_: Labels, sorted.
        network_: The network, a PyTorch module.
        study_name_: Name of the study; `nas.open_study` opens it.
        image_shape_: Shape of one image without N, as it was given.
        n_features_in_: Length of the second axis of the images.
    """

    def __init__(
        self,
        *,
        trials: int = 16,
        epochs: int = 12,
        max_params: int | None = None,
        target: float | None = None,
        search_space: Any = None,
        image_shape: tuple[int, ...] | None = None,
        tables: dict[str, Any] | None = None,
        workers: int | None = None,
        home: str | Path | None = None,
        random_state: int = 0,
        verbose: bool = False,
    ) -> None:
        self.trials = trials
        self.epochs = epochs
        self.max_params = max_params
        self.target = target
        self.search_space = search_space
        self.image_shape = image_shape
        self.tables = tables
        self.workers = workers
        self.home = home
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Classifier:
        """Search for a network, and keep it.

        Args:
            X: Images [N, H, W], [N, H, W, C], [N, C, H, W], or flat [N, D]; pixels 0-255, or 0-1.
            y: Labels [N], at least two classes of three images each.

        Raises:
            ValueError: The images or the labels cannot be used.
            NasError: The search has no result.
        """
        images, labels = validate_data(self, X, y, allow_nd=True, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, indices_N = np.unique(column_or_1d(labels, warn=True), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Classifier: the labels have one class; a classifier needs at least two classes")
        self.image_shape_ = images.shape[1:]
        self._scale = self._scale_of(images)
        self.network_, self.study_name_ = self._search(self._pixels(images), indices_N)
        return self

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the label of each image, [N]; arguments and errors as in `predict_proba`."""
        probabilities_NK = self.predict_proba(X)
        labels_N: Array = self.classes_[probabilities_NK.argmax(1)]
        return labels_N

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of the classes, [N, K].

        Args:
            X: Images of the shape and the range of those of `fit`.

        Raises:
            ValueError: The images have another shape.
        """
        check_is_fitted(self)
        images = validate_data(self, X, allow_nd=True, reset=False)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(f"images of shape {images.shape[1:]} where fit had {self.image_shape_}")
        probabilities_NK = self.network_.predict_proba(self._pixels(images)).astype(np.float64)
        normalised_NK: npt.NDArray[np.float64] = probabilities_NK / probabilities_NK.sum(1, keepdims=True)
        return normalised_NK

    def _pixels(self, images: Array) -> npt.NDArray[np.uint8]:
        """Return pixels 0-255 with the scale of `fit`; flat images as [N, H, W] or [N, H, W, C]."""
        scaled = np.clip(np.rint(np.asarray(images, np.float64) * self._scale), 0, 255).astype(np.uint8)
        return scaled.reshape(len(images), *self._flat_shape(images.shape[1])) if images.ndim == 2 else scaled

    def _scale_of(self, images: Array) -> float:
        """Return the factor of pixels to 0-255.

        Raises:
            ValueError: The values are no pixels.
        """
        if images.dtype == np.uint8:
            return 1.0
        if images.dtype.kind not in "uifb":
            raise ValueError(f"images of type {images.dtype}; give pixels 0-255 as uint8, or 0-1")
        lowest, highest = float(images.min()), float(images.max())
        if lowest < 0:
            raise ValueError(f"Negative values in data: {lowest:g} to {highest:g}; give pixels 0-255 as uint8, or 0-1")
        # The range of the whole training part decides, so that a single dark image is scaled as it was then.
        return 255.0 if highest <= 1 else 1.0 if highest <= 255 else 255.0 / highest

    def _flat_shape(self, num_pixels: int) -> tuple[int, ...]:
        if self.image_shape is not None:
            if math.prod(self.image_shape) != num_pixels:
                raise ValueError(f"image_shape {self.image_shape} where flat images have {num_pixels} pixels")
            return tuple(self.image_shape)
        side = math.isqrt(num_pixels)
        if side * side != num_pixels or side < _MIN_SIDE:
            raise ValueError(
                f"images of {num_pixels} pixels in a row are no square of at least {_MIN_SIDE}×{_MIN_SIDE}; give "
                "image_shape=(H, W), or images [N, H, W]"
            )
        return side, side

    def _search(self, pixels: npt.NDArray[np.uint8], indices_N: Array) -> tuple[ImageNetwork, str]:
        """Run the study of `fit`; return its network and its name."""
        from nas.api.study import Study
        from nas.space.toml_file import merge_tables

        tables: dict[str, Any] = {
            # Whoever calls `score` holds images out already.
            "data": {"test_fraction": 0.01, "seed": self.random_state},
            "training": {"seed": self.random_state},
            "baseline": {"enabled": False},
            **({} if self.target is None else {"target": {"macro_f1": float(self.target)}}),
        }
        settings: NewStudySettings = {
            "trials": self.trials, "epochs": self.epochs, "progress": self.verbose,
            "classes": [str(label) for label in self.classes_],
            "tables": merge_tables(tables, self.tables or {}, lambda existing, override: False),
        }  # fmt: skip
        if self.max_params is not None:
            settings["max_params"] = self.max_params
        if self.search_space is not None:
            settings["search_space"] = self.search_space
        if self.home is not None:
            settings["home"] = self.home
        name = _study_name(pixels, indices_N, settings)
        with Study.create(pixels, indices_N, name=name, **settings) as study:
            study.search(workers=self.workers)
            return study.load("best" if self.target is None else "answer"), name

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        return tags


def _study_name(pixels: npt.NDArray[np.uint8], indices_N: Array, settings: NewStudySettings) -> str:
    """Name a study by its images, labels and settings but the number of trials, which may be raised."""
    fixed = {key: str(value) for key, value in settings.items() if key not in ("trials", "home", "progress")}
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode())
    digest.update(f"{pixels.shape}".encode())
    for array in (pixels, indices_N):
        digest.update(np.ascontiguousarray(array).data)
    return f"classifier-{digest.hexdigest()[:12]}"
