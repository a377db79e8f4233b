"""Results of the lenses: facts, findings with their measured rates, and pictures on a fixed scale."""

from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import msgspec
import numpy as np


class Severity(StrEnum):
    """Importance of a finding to an examiner; its reliability is stated by its rates."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"


class Rates(msgspec.Struct, frozen=True):
    """How often a rule fires on material with known truth.

    Attributes:
        true_positives: files with the property that the rule names, on which it fired.
        positives: files with the property.
        false_positives: files without the property, on which the rule fired.
        negatives: files without the property.
        measured_on: description of the material.
    """

    true_positives: int
    positives: int
    false_positives: int
    negatives: int
    measured_on: str


class Fact(msgspec.Struct, frozen=True):
    """A value that a lens read or measured.

    Attributes:
        name: name of the value.
        value: the value as text; text from the file is quoted on one line and shortened if it is long.
    """

    name: str
    value: str


class Finding(msgspec.Struct, frozen=True):
    """A finding by a rule of a lens.

    Attributes:
        id: id of the rule, such as ``traces.comfyui``.
        severity: see ``Severity``.
        text: one sentence. A trace is a claim, never a proof.
        rates: how often the rule fires correctly and wrongly; None if that was not measured.
    """

    id: str
    severity: Severity
    text: str
    rates: Rates | None = None


class PictureScale(msgspec.Struct, frozen=True):
    """Description and scale of a lens picture, without its pixels.

    Attributes:
        name: file name without its suffix, such as ``error-level``.
        caption: description of the picture.
        low: meaning of the darkest color.
        high: meaning of the brightest color, the same for every file, so that a weak effect looks weak.
    """

    name: str
    caption: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class LensPicture:
    """A picture of a lens.

    Attributes:
        scale: description and scale of the picture.
        levels: (H, W) uint8; 0 and 255 are the ends of the scale.
        is_spatial: whether each value belongs to the same position in the source picture; False for a spectrum.
    """

    scale: PictureScale
    levels: np.ndarray = field(repr=False, compare=False)
    is_spatial: bool = True

    @property
    def rgb(self) -> np.ndarray:
        """The picture in the color map viridis, whose brightness increases steadily, (H, W, 3) uint8."""
        return cv2.cvtColor(cv2.applyColorMap(self.levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


class LensSummary(msgspec.Struct, frozen=True):
    """The result of a lens in the form for reports, without pixels.

    Attributes:
        id: id of the lens.
        title: title for people.
        shows: what the lens shows, one sentence.
        does_not_show: what the lens does not show, one sentence.
        facts: facts in the order of the lens.
        findings: findings in the order of the lens.
        pictures: descriptions of the pictures in the order of the lens.
        problem: why the lens did not run, or not completely; empty if it did.
    """

    id: str
    title: str
    shows: str
    does_not_show: str
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    pictures: tuple[PictureScale, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LensResult:
    """The result of a lens.

    Attributes:
        facts: values that the lens read or measured.
        findings: findings of its rules.
        pictures: pictures for the examiner to look at.
        problem: see ``LensSummary``.
    """

    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    pictures: tuple[LensPicture, ...] = ()
    problem: str = ""


LONGEST_QUOTE = 600
"""Maximum number of characters of a text from the file that are quoted."""


def quoted(text: str, size: int | None = None) -> str:
    """Return a quotation of a file's text: on one line; long text is cut and its full length added.

    Args:
        text: text from the file.
        size: length of the full text, characters, if ``text`` is only a part of it.
    """
    size = len(text) if size is None else size
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}... ({size:,} characters)"
