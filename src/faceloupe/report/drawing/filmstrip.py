"""A face track as a strip of small pictures, each with its time and its score."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceloupe.findings import FaceObservation, TrackFinding
from faceloupe.report.drawing import glyphs
from faceloupe.report.drawing.overlays import COLORS
from faceloupe.report.numerals import decimal
from faceloupe.scoring.decision import ScoreBounds, of_frame

_MOST = 14  # greatest number of pictures in a strip
_SIDE, _BORDER, _GAP, _WORDS = 64, 4, 3, 36  # pixels; the last is the height of two lines of text
_INK = "#808080"  # readable on white and on black


def chosen_observations(track: TrackFinding, most: int = _MOST) -> list[FaceObservation]:
    """Return observations that are evenly spread over a track, including the first and the last."""
    count = len(track.observations)
    places = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    return [track.observations[position] for position in places]


def filmstrip(track: TrackFinding, thresholds: ScoreBounds, language: str = "en") -> np.ndarray:
    """Draw the filmstrip of a track: each picture is framed in the color of the outcome for its own score.

    Args:
        track: a track of the analysis.
        thresholds: thresholds of the model that scored, from its record or the report.
        language: language whose decimal mark is used.

    Returns:
        (h, w, 4) uint8 RGBA, transparent around the pictures.
    """
    observations = chosen_observations(track)
    cell = _SIDE + 2 * _BORDER
    strip = Image.new("RGBA", (_MOST * (cell + _GAP) - _GAP, cell + _WORDS), (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    for column, observation in enumerate(observations):
        left, outcome = column * (cell + _GAP), of_frame(observation.score, thresholds)
        pen.rectangle((left, 0, left + cell - 1, cell - 1), fill=COLORS[outcome])
        strip.paste(Image.open(io.BytesIO(observation.thumb)).resize((_SIDE, _SIDE)), (left + _BORDER, _BORDER))
        time = f"{decimal(observation.time_s, 2, language)} s"
        pen.text((left + cell / 2, cell + 4), time, fill=_INK, font=font, anchor="mt")
        score = "-" if observation.score is None else decimal(observation.score, 2, language)
        middle = cell + 27
        glyphs.draw(pen, outcome, (left + cell / 2 - 18, middle), 5, COLORS[outcome])
        pen.text((left + cell / 2 + 6, middle), score, fill=_INK, font=font, anchor="mm")
    return np.asarray(strip)
