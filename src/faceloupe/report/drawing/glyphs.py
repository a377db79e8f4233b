"""The shapes of the five outcomes as drawings: the fonts that pictures are lettered with do not hold them."""

from PIL import ImageDraw

from faceloupe.types import Outcome


def draw(pen: ImageDraw.ImageDraw, outcome: Outcome, center: tuple[float, float], radius: float, ink: str) -> None:
    """Draw the shape of an outcome, see ``figures.SHAPES``.

    Args:
        pen: of the picture.
        outcome: whose shape.
        center: x and y, pixels.
        radius: half of its width, pixels.
        ink: color.
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
