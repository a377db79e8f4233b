"""Previews of evidence, without any finding: the picture of an image, or a few frames of a video."""

from dataclasses import dataclass, field

import numpy as np

from faceloupe.analysis.results import Canvas
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.video import IsolatedVideo

_FRAMES = 8  # most frames that are shown of a video


@dataclass(frozen=True, slots=True)
class Preview:
    """One picture of a preview.

    Attributes:
        rgb: (h, w, 3) uint8, upright, at most ``DISPLAY_SIDE`` pixels on the longer side.
        time_s: seconds since the first frame of a video; None for an image.
    """

    rgb: np.ndarray = field(repr=False)
    time_s: float | None = None


def previews(evidence_file: EvidenceFile, *, settings: Settings) -> tuple[Preview, ...]:
    """Return the picture of an image, or evenly spaced frames of a video from the first to the last.

    Raises:
        EvidenceError: the image, or every selected frame, cannot be decoded, or the file changed meanwhile.
    """
    if evidence_file.evidence.media_type != "video":
        return (Preview(Canvas.of(decode(evidence_file, settings=settings).rgb).rgb),)
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=settings) as video:
        wanted = np.linspace(0, video.count - 1, min(_FRAMES, video.count)).round().astype(int).tolist()
        result = [Preview(Canvas.of(frame.rgb()).rgb, float(frame.time)) for frame in video.walk(wanted, every=False)]
        evidence_file.check_unchanged(stream)
    if not result:
        raise EvidenceError("None of the selected frames can be decoded; get a complete copy.")
    return tuple(result)
