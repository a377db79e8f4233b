"""Measurement of how far a picture is stretched, from the encoder's features of a face in it."""

import math

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from faceloupe.errors import WeightsError
from faceloupe.models.encoder import ROWS, WIDTH

_STRONGEST = math.log(2.0)


class Proportions:
    """A linear map from the encoder's features of a face to the logarithm of the stretch of the picture.

    The stretch is the width of the face for its height, as a multiple of the natural width: below 1 if the picture was
    squeezed, above 1 if it was made wider. Thread-safe.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        """Load the map.

        Args:
            tensors: ``rows`` (R,) int64, the rows of the features to read; ``linear`` (R * 768,); ``bias`` (1,);
                ``limit`` (1,) > 0, the absolute logarithm up to which a stretch counts as natural; float32.

        Raises:
            KeyError: a tensor is missing.
            ValueError: shapes do not match, or a number is out of range.
        """
        self._rows = tensors["rows"].tolist()
        self._linear, self._bias = tensors["linear"].float(), float(tensors["bias"])
        self._limit = float(tensors["limit"])
        fits = self._linear.shape == (len(self._rows) * WIDTH,) and 0 <= min(self._rows) <= max(self._rows) < len(ROWS)
        if not (fits and self._linear.isfinite().all() and math.isfinite(self._bias) and 0 < self._limit < math.inf):
            raise ValueError("the tensors do not fit together")

    @classmethod
    def load(cls, content: bytes) -> "Proportions":
        """Build the map from the bytes of its weights file, which the caller has verified.

        Raises:
            WeightsError: the weights are not those of such a map.
        """
        try:
            return cls(load(content))
        except (KeyError, ValueError, RuntimeError, SafetensorError) as problem:
            raise WeightsError(
                "The weights that measure the proportions of faces do not fit their architecture, so nothing can be "
                "scored; restore the file from the repository."
            ) from problem

    def log_stretch(self, features: torch.Tensor) -> torch.Tensor:
        """Return the natural logarithms of the stretch for (N, 15, 768) float32 features: (N,) float32."""
        return features[:, self._rows].flatten(1) @ self._linear + self._bias

    def stretch(self, features: torch.Tensor) -> float:
        """Return the stretch for the (1, 15, 768) features of one face; 1.0 if it is within the natural variation.

        It is between 0.5 and 2.0, because the map was not fitted on stronger stretches.
        """
        measured = float(self.log_stretch(features))
        return math.exp(min(max(measured, -_STRONGEST), _STRONGEST)) if abs(measured) > self._limit else 1.0
