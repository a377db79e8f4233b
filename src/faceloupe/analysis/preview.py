"""Evidence as it looks, before and without any finding: the picture, or a few frames of the video."""

from dataclasses import dataclass, field

import numpy as np

from faceloupe.analysis.results import Canvas
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.video import IsolatedVideo

_FRAMES = 8  # of a video


@dataclass(frozen=True, slots=True)
class Preview:
    """One look at evidence.

    Attributes:
        rgb: (h, w, 3) uint8, upright, at most as large as it is ever drawn.
        time_s: seconds since the first frame of a video; None for an image.
    """

    rgb: np.ndarray = field(repr=False)
    time_s: float | None = None


def previews(evidence_file: EvidenceFile, *, settings: Settings) -> tuple[Preview, ...]:
    """Return the picture of an image, or frames of a video that are evenly spread from its first to its last one.

    Raises:
        EvidenceError: nothing of it can be decoded, or it changed meanwhile.
    """
    if evidence_file.evidence.media_type != "video":
        return (Preview(Canvas.of(decode(evidence_file, settings=settings).rgb).rgb),)
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=settings) as video:
        wanted = np.linspace(0, video.count - 1, min(_FRAMES, video.count)).round().astype(int).tolist()
        result = [Preview(Canvas.of(frame.rgb()).rgb, float(frame.time)) for frame in video.walk(wanted, every=False)]
        evidence_file.refuse_changed(stream)
    if not result:
        raise EvidenceError("None of the selected frames can be decoded; get a complete copy.")
    return tuple(result)
