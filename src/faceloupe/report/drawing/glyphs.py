"""Drawings of the shapes of the five outcomes, which the font for text in pictures does not have."""

from PIL import ImageDraw

from faceloupe.types import Outcome


def draw(pen: ImageDraw.ImageDraw, outcome: Outcome, center: tuple[float, float], radius: float, ink: str) -> None:
    """Draw the shape of an outcome, see ``overlays.SHAPES``.

    Args:
        pen: pen of the picture.
        outcome: the outcome.
        center: x and y of the center, pixels.
        radius: half of the width of the shape, pixels.
        ink: color of the shape.
    """
    x, y = center
    around = (x - radius, y - radius, x + radius, y + radius)
    line = max(1, round(radius / 4))
    match outcome:
        case Outcome.MANIPULATED:
            pen.rectangle(around, fill=ink)
        case Outcome.AUTHENTIC:
            pen.ellipse(around, fill=ink)
        case Outcome.INCONCLUSIVE:
            pen.pieslice(around, 90, 270, fill=ink)
            pen.ellipse(around, outline=ink, width=line)
        case Outcome.NOT_APPLICABLE:
            pen.ellipse(around, outline=ink, width=line)
        case Outcome.ERROR:
            pen.line((x - radius, y - radius, x + radius, y + radius), fill=ink, width=line)
            pen.line((x - radius, y + radius, x + radius, y - radius), fill=ink, width=line)
