"""What a PDF is drawn with: a canvas that knows pages by name, and drawings."""

from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from faceloupe.report.document.blocks import Ruler
from faceloupe.report.document.pdf_text import BOLD, FAINT, INK, SANS


class NumberedCanvas(Canvas):  # type: ignore[misc]  # reportlab has no types
    """A canvas on which page numbers can be referred to before they are known.

    Each reference draws a form, and the forms are made when all pages are there: one pass over the document is enough.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pages: dict[str, int] = {}
        self._wanted: set[tuple[str, str, float]] = set()

    def reach(self, anchor: str) -> None:
        """Note that the heading of that anchor stands on this page."""
        self._pages[anchor] = self.getPageNumber()
        self.bookmarkPage(anchor)

    def refer(self, anchor: str, size: float, before: str = "") -> None:
        """Draw the page number of an anchor so that it ends at the origin.

        Args:
            anchor: of a heading; empty for the number of pages.
            size: of the letters, points.
            before: words before the number.
        """
        wanted = (anchor, before, size)
        self._wanted.add(wanted)
        self.doForm(_form_name(wanted))

    def save(self) -> None:
        """Make the forms, and finish the file."""
        last = self.getPageNumber() - 1
        for wanted in sorted(self._wanted):
            anchor, before, size = wanted
            self.beginForm(_form_name(wanted), -60 * mm, -size, 0, size)
            self.setFont(SANS, size)
            self.setFillColor(FAINT if before else INK)
            self.drawRightString(0, 0, f"{before}{self._pages.get(anchor, last)}")
            self.endForm()
        super().save()


def _form_name(wanted: tuple[str, str, float]) -> str:
    return "page-" + "-".join(str(part) for part in wanted).encode().hex()


class Anchor(Flowable):  # type: ignore[misc]  # reportlab has no types
    """Where links and the outline lead to; it takes no room."""

    def __init__(self, anchor: str, text: str, level: int) -> None:
        """Mark the place of a heading.

        Args:
            anchor: name of the destination.
            text: of the heading that follows.
            level: of it; the title is not in the outline.
        """
        super().__init__()
        self._anchor, self._words, self._level = anchor, text, level

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the width and height that it takes, points."""
        return 0.0, 0.0

    def draw(self) -> None:
        """Draw it on the canvas of the page."""
        self.canv.reach(self._anchor)
        if self._level > 1:
            self.canv.addOutlineEntry(self._words, self._anchor, self._level - 2, closed=self._level == 2)


class PageOf(Flowable):  # type: ignore[misc]  # reportlab has no types
    """The page number of a heading, set to the right."""

    def __init__(self, anchor: str, size: float) -> None:
        super().__init__()
        self._anchor, self._size = anchor, size

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the width and height that it takes, points."""
        self.width, self.height = width, 1.25 * self._size
        return self.width, self.height

    def draw(self) -> None:
        """Draw it on the canvas of the page."""
        self.canv.translate(self.width, 0.3 * self._size)
        self.canv.refer(self._anchor, self._size)


class RulerDrawing(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A score on its ruler."""

    _HEIGHT, _BAR = 15 * mm, 4 * mm

    def __init__(self, ruler: Ruler) -> None:
        super().__init__()
        self._ruler = ruler

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the width and height that it takes, points."""
        self.width, self.height = min(width, 150 * mm), self._HEIGHT
        return self.width, self.height

    def draw(self) -> None:
        """Draw it on the canvas of the page."""
        pen, ruler = self.canv, self._ruler
        base, top = 6 * mm, 6 * mm + self._BAR
        lower, upper, here = (self.width * value for value in (ruler.lower, ruler.upper, ruler.score))
        for begin, end, color in ((0, lower, "#dcefe8"), (lower, upper, "#f4f4f4"), (upper, self.width, "#f7d9c4")):
            pen.setFillColor(HexColor(color))
            pen.rect(begin, base, end - begin, self._BAR, stroke=0, fill=1)
        pen.setStrokeColor(INK)
        pen.setFillColor(INK)
        pen.setLineWidth(0.7)
        pen.rect(0, base, self.width, self._BAR, stroke=1, fill=0)
        for x in (lower, upper):
            pen.line(x, base - 1 * mm, x, top + 0.8 * mm)
        pen.setLineWidth(1.4)
        pen.line(here, base, here, top)
        arrow = pen.beginPath()
        arrow.moveTo(here, top - 0.6 * mm)
        arrow.lineTo(here - 1.4 * mm, top + 1.9 * mm)
        arrow.lineTo(here + 1.4 * mm, top + 1.9 * mm)
        arrow.close()
        pen.drawPath(arrow, stroke=0, fill=1)
        pen.setFont(BOLD, 9)
        pen.drawCentredString(min(max(here, 4 * mm), self.width - 4 * mm), top + 2.5 * mm, ruler.shown[0])
        pen.setFont(SANS, 7)
        for x, label in zip((lower, upper), ruler.shown[1:], strict=True):
            pen.drawCentredString(min(max(x, 3 * mm), self.width - 3 * mm), base - 3.4 * mm, label)
        pen.drawString(0, 0, ruler.zones[0])
        pen.drawCentredString(self.width / 2, 0, ruler.zones[1])
        pen.drawRightString(self.width, 0, ruler.zones[2])
