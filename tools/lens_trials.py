"""Methods to find traces in the pixels that were tried and not adopted, and how well they separate files."""

import csv
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from faceloupe.evaluation.metrics import auc
from faceloupe.forensics import pixels
from faceloupe.forensics.rates import Trial

_PER_SOURCE, _SEED = 120, 1
_GENERATED = ("boredhumans", "generated_photos", "omi_stylegan2", "hardfake", "ffhq_tpdne")
_PHOTOGRAPHS = ("hardfake", "ffhq_tpdne", "ciplab", "utkface")
_SWAPPED = ("dfdc_faces", "ffpp_c23_methods", "dfd_crops", "ffpp_faces")
_FACE, _AROUND = 0.7, 1.1  # half axes of ellipses in a face box; noise is measured inside and outside of them
_FEWEST_PIXELS = 1500  # in each of the two areas
_UP_SAMPLING = (
    "points at 1/4 and 1/2 on the axes of the spectrum, less those at 1/8 and 3/8 (a fact of the lens Spectrum)",
    "the stronger of the points at 1/4 and at 1/2 alone",
    "the strongest points away from the multiples of 1/8 that JPEG makes",
    "high frequencies against middle ones in the radial profile (Durall 2020)",
)
_NOISE = (
    "median of the diagonal Haar coefficients",
    "Laplacian of Immerkaer (1996)",
    "mean difference from the median of 3 x 3",
)


def spectrum_scores(gray: np.ndarray) -> tuple[float, ...]:
    """Return the scores of ``_UP_SAMPLING`` for a picture, (H, W) uint8."""
    points = pixels.prominence(pixels.residual_spectrum(gray))
    frequency = np.fft.fftfreq(len(points))
    radius = np.hypot(frequency[:, None], frequency)
    away = radius > 0.12
    away[:: len(points) // 8], away[:, :: len(points) // 8] = False, False
    quarter, half = (points[index, 0] + points[0, index] for index in (len(points) // 4, len(points) // 2))
    spectrum = pixels.residual_spectrum(gray)
    bands = [spectrum[(radius >= low) & (radius < high)].mean() for low, high in ((0.15, 0.25), (0.4, 0.5))]
    return (
        pixels.up_sampling_score(gray),
        float(max(quarter, half)),
        float(np.sort(points[away])[-8:].mean()),
        float(bands[1] - bands[0]),
    )


def up_sampling(data: Path, native: Path | None) -> tuple[Trial, ...]:
    """Look for traces of up-sampling in portraits of StyleGAN-type generators, against photographs.

    Args:
        data: folder of the training material, in which most pictures were made smaller.
        native: folder of folders ``generated-NAME`` and ``photographs-NAME`` with pictures as generators and cameras
            or services wrote them; None if there is no such folder.
    """
    by_source = defaultdict[tuple[str, str], list[Path]](list)
    with (data / "stills.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train":
                by_source[row["source"], row["label"]].append(data / row["path"])
    groups = {f"{name}, made smaller": by_source[name, "fake"] for name in _GENERATED}
    photographs = [by_source[name, "real"] for name in _PHOTOGRAPHS]
    trials = _separated(groups, photographs)
    if native is not None:
        folders = sorted(native.iterdir())
        groups = {
            f"{folder.name.removeprefix('generated-')}, native": sorted(folder.iterdir())
            for folder in folders
            if folder.name.startswith("generated-")
        }
        photographs = [sorted(folder.iterdir()) for folder in folders if folder.name.startswith("photographs-")]
        trials |= _separated(groups, photographs)
    areas = [{name: values[number] for name, values in trials.items()} for number in range(len(_UP_SAMPLING))]
    return tuple(Trial("traces of up-sampling", way, of_way) for way, of_way in zip(_UP_SAMPLING, areas, strict=True))


def _separated(groups: dict[str, list[Path]], photographs: Sequence[list[Path]]) -> dict[str, tuple[float, ...]]:
    draw = random.Random(_SEED)
    chosen = {name: draw.sample(paths, min(_PER_SOURCE, len(paths))) for name, paths in groups.items()}
    real = [path for paths in photographs for path in draw.sample(paths, min(_PER_SOURCE, len(paths)))]
    with ProcessPoolExecutor() as pool:

        def scores(paths: list[Path]) -> np.ndarray:
            rows = pool.map(_spectrum_of, paths, chunksize=8)
            return np.array([row for row in rows if row is not None])

        negatives = scores(real)
        return {name: _areas(negatives, scores(paths)) for name, paths in chosen.items()}


def _spectrum_of(path: Path) -> tuple[float, ...] | None:
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"))
    return spectrum_scores(gray) if min(gray.shape) >= pixels.UP_SAMPLING_SIDES[0] else None


def _areas(negatives: np.ndarray, positives: np.ndarray) -> tuple[float, ...]:
    labels = np.r_[np.zeros(len(negatives), bool), np.ones(len(positives), bool)]
    return tuple(
        float(auc(labels, np.r_[negatives[:, way], positives[:, way]], np.ones((1, len(labels))))[0])
        for way in range(negatives.shape[1])
    )


def noise_of_faces(data: Path) -> tuple[Trial, ...]:
    """Compare the noise of the face with that of its surroundings, in swapped faces and in untouched ones."""
    by_source = defaultdict[tuple[str, str], list[tuple[Path, tuple[float, ...]]]](list)
    with (data / "stills.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] in _SWAPPED:  # a picture without a box is itself a tight crop
                whole = {"x0": "0", "y0": "0", "x1": row["width"], "y1": row["height"]}
                box = tuple(float(row[side] or of_picture) for side, of_picture in whole.items())
                by_source[row["source"], row["label"]].append((data / row["path"], box))
    areas = dict[str, tuple[float, ...]]()
    for source in _SWAPPED:
        draw = random.Random(_SEED)
        real, fake = (
            np.array([ratios for ratios in (_noise_ratios(*entry) for entry in chosen) if ratios is not None])
            for chosen in (
                draw.sample(by_source[source, label], min(2 * _PER_SOURCE, len(by_source[source, label])))
                for label in ("real", "fake")
            )
        )
        if min(len(real), len(fake)) >= 30:
            areas[source] = _areas(real, fake)
    return tuple(
        Trial("another noise in the face", way, {source: values[number] for source, values in areas.items()})
        for number, way in enumerate(_NOISE)
    )


def _noise_ratios(path: Path, box: tuple[float, ...]) -> tuple[float, ...] | None:
    """Return the absolute differences of log noise between the face and its surroundings, by each of ``_NOISE``."""
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"))
    height, width = gray.shape
    left, top, right, bottom = box
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((2 * x - left - right) / (right - left), (2 * y - top - bottom) / (bottom - top))
    face, around = radius < _FACE, radius > _AROUND
    if min(face.sum(), around.sum()) < _FEWEST_PIXELS:
        return None
    values = gray.astype(np.float32)
    haar = np.abs(cv2.filter2D(values, -1, np.array([[1, -1], [-1, 1]], np.float32) / 2))
    laplacian = np.abs(cv2.filter2D(values, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)))
    difference = np.abs(values - cv2.medianBlur(gray, 3))
    measures: tuple[tuple[np.ndarray, Callable[[np.ndarray], np.floating]], ...] = (
        (haar, np.median),
        (laplacian, np.mean),
        (difference, np.mean),
    )
    return tuple(
        abs(float(np.log((measure(noise[face]) + 0.1) / (measure(noise[around]) + 0.1)))) for noise, measure in measures
    )


def autocorrelation(gray: np.ndarray) -> float:
    """Return the largest autocorrelation of the high frequencies away from the center, 0..1."""
    values = gray.astype(np.float32)
    high = values - cv2.GaussianBlur(values, (0, 0), 2.0)
    power = np.abs(np.fft.rfft2(high, s=[2 * side for side in high.shape])) ** 2
    correlation = np.fft.irfft2(power)
    near = max(8, max(gray.shape) // 25)
    middle = correlation[0, 0]
    for rows in (slice(0, near), slice(-near, None)):
        for columns in (slice(0, near), slice(-near, None)):
            correlation[rows, columns] = 0.0
    return float(correlation.max() / max(middle, 1e-6))


def agreeing_keypoints(gray: np.ndarray) -> int:
    """Count the pairs of ORB keypoints of a picture that agree on one movement."""
    keypoints, descriptors = cv2.ORB_create(nfeatures=4000, fastThreshold=5).detectAndCompute(gray, None)
    if len(keypoints) < 6:
        return 0
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    pairs = [
        (points[match.queryIdx], points[match.trainIdx])
        for matches in cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(descriptors, descriptors, k=6)
        for match in matches
        if match.distance < 40
        and 0.04 * max(gray.shape) < np.abs(points[match.queryIdx] - points[match.trainIdx]).max()
        and tuple(points[match.queryIdx]) < tuple(points[match.trainIdx])
    ]
    if len(pairs) < 6:
        return 0
    cv2.setRNGSeed(0)
    start, end = (np.array(side) for side in zip(*pairs, strict=True))
    movement, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    return 0 if movement is None else int(inliers.sum())
