"""A case report as a PDF, A4.

The embedded DejaVu fonts cover Latin, Greek and Cyrillic, and more; a white square stands for a character that they
lack, such as those of Chinese, Japanese and Korean. Text is set from left to right, letter by letter: Arabic is not
joined, Hebrew and Arabic are not turned around, and marks of Indic scripts are not placed. The HTML report leaves that
to the browser, which can do it. The PDF is not tagged for screen readers; the HTML report is made for them.
"""

import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate, takewhile
from pathlib import Path
from typing import BinaryIO

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, Image, PageTemplate, Paragraph, Table

from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.blocks import Block, Heading
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.images import WIDTH_MM, Fetch
from faceloupe.report.document.pdf_blocks import Layout
from faceloupe.report.document.pdf_parts import NumberedCanvas
from faceloupe.report.document.pdf_text import BOLD, FAINT, INK, MONO, RULE, SANS, drawable, markup, register_fonts
from faceloupe.report.write import publish_file
from faceloupe.types import Progress

MOST_ENTRIES = 200  # of the log; the rest is counted
_MARGIN, _TOP, _BOTTOM = 18 * mm, 24 * mm, 20 * mm
_LOGO = 50 * mm, 18 * mm

_MADE = 0.6  # share of the work that is done when all pictures are made


def write_pdf(
    case: CaseRecord,
    picture: Fetch,
    target: Path | BinaryIO,
    *,
    letterhead: Letterhead,
    language: str = "en",
    with_log: bool = False,
    progress: Progress | None = None,
) -> None:
    """Draw a case record as a PDF; the same record always gives the same bytes.

    Args:
        case: record of a case.
        picture: SHA-256 of a PNG -> its bytes.
        target: a path where there is no file yet, or a stream to write to.
        letterhead: who issues the report.
        language: of the fixed texts.
        with_log: whether the first entries of the log are shown.
        progress: called with the stage and the share done, 0..1.

    Raises:
        UsageError: there are no fixed texts in that language, or the file cannot be written.
        EvidenceError: a picture is not the one that the record names.
    """
    register_fonts()
    document = CaseDocument(case, picture, letterhead, language)
    blocks = document.blocks(most_entries=MOST_ENTRIES if with_log else 0)
    if progress:
        blocks = _reported(blocks, document.items, progress)
    story = [_letterhead(document, letterhead), *Layout(document.texts["page"]).story(blocks)]
    if isinstance(target, Path):
        publish_file(lambda path: _draw(path, document, story, progress), target)
    else:
        _draw(target, document, story, progress)


def _draw(target: Path | BinaryIO, document: CaseDocument, story: list[Flowable], progress: Progress | None) -> None:
    template = _Template(str(target) if isinstance(target, Path) else target, document)
    if progress:
        template.setProgressCallBack(_setting(progress, len(story)))
    template.build(story, canvasmaker=NumberedCanvas)


def _reported(blocks: Iterator[Block], count: int, progress: Progress) -> Iterator[Block]:
    """Yield the blocks of so many items, and report progress at each item."""
    items = 0
    for block in blocks:
        if isinstance(block, Heading) and block.anchor == f"item-{items + 1}":
            items += 1
            progress(f"Item {items} of {count}", _MADE * items / count)
        yield block


def _setting(progress: Progress, count: int) -> Callable[[str, int], None]:
    """Tells how many parts of the story are set; what falls into several parts makes the count go back for a while."""
    furthest = 0

    def hear(event: str, value: int) -> None:
        nonlocal furthest
        if event == "PROGRESS" and value > furthest:
            furthest = value
            progress("Laying out pages", _MADE + (1.0 - _MADE) * min(1.0, furthest / count))

    return hear


def _letterhead(document: CaseDocument, letterhead: Letterhead) -> Flowable:
    name = ParagraphStyle("organization", fontName=BOLD, fontSize=11, leading=15, textColor=INK)
    line = ParagraphStyle("address", fontName=SANS, fontSize=8.5, leading=11.5, textColor=INK)
    lines: list[Flowable] = [Paragraph(markup(document.organization, BOLD), name)]
    lines += [Paragraph(markup(text, SANS), line) for text in document.address_lines]
    logo: list[Flowable] = []
    if letterhead.logo_png is not None:
        logo.append(Image(io.BytesIO(letterhead.logo_png), *_LOGO, kind="proportional", hAlign="RIGHT"))
    width = WIDTH_MM * mm
    head = Table([[lines, logo]], [width - _LOGO[0] - 6 * mm, _LOGO[0] + 6 * mm], splitInRow=1)
    head.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (0, 0), 0),
            ("RIGHTPADDING", (-1, 0), (-1, 0), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
            ("LINEBELOW", (0, 0), (-1, -1), 0.8, INK),
        ]
    )
    return head


class _Template(BaseDocTemplate):  # type: ignore[misc]  # reportlab has no types
    """A4 pages with the case above and page number, log and time below."""

    def __init__(self, target: str | BinaryIO, document: CaseDocument) -> None:
        texts = document.texts
        super().__init__(
            target,
            pagesize=A4,
            title=f"{texts['title']}: {document.case_name}",
            author=document.organization,
            subject=f"{texts['case_id']}: {document.case_id}",
            creator=document.tool,
            lang=document.language,
            displayDocTitle=True,
            invariant=1,
        )
        frame = Frame(
            _MARGIN,
            _BOTTOM,
            WIDTH_MM * mm,
            A4[1] - _TOP - _BOTTOM,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        self.addPageTemplates(PageTemplate(frames=[frame], onPage=self._around))
        self._document = document

    def beforeDocument(self) -> None:
        """Put the date of the report, not that of the drawing, into the properties of the file."""
        digits = re.sub("[^0-9]", "", self._document.created_utc)
        self.canv.setDateFormatter(lambda *_: f"D:{digits[:14]}Z")  # to the second: a PDF date has no fractions

    def _around(self, pen: NumberedCanvas, _: BaseDocTemplate) -> None:
        document, right = self._document, _MARGIN + WIDTH_MM * mm
        pen.setStrokeColor(RULE)
        pen.setLineWidth(0.5)
        pen.line(_MARGIN, A4[1] - _TOP + 4 * mm, right, A4[1] - _TOP + 4 * mm)
        pen.line(_MARGIN, _BOTTOM - 4 * mm, right, _BOTTOM - 4 * mm)
        pen.setFillColor(FAINT)
        top = A4[1] - _TOP + 6 * mm
        pen.setFont(SANS, 7.5)
        number = _clipped(document.case_id, 50 * mm, SANS, 7.5)
        name = _clipped(document.case_name, 106 * mm - stringWidth(number, SANS, 7.5), SANS, 7.5)
        pen.drawString(_MARGIN, top, f"{name}, {number}")
        pen.drawRightString(right, top, _clipped(document.organization, 62 * mm, SANS, 7.5))
        bottom = _BOTTOM - 8 * mm
        pen.setFont(SANS, 6.5)
        pen.drawString(_MARGIN, bottom, document.texts["created_line"].format(when=document.created))
        pen.drawString(_MARGIN, bottom - 3.5 * mm, document.texts["log_line"])
        label = stringWidth(document.texts["log_line"] + "  ", SANS, 6.5)
        pen.setFont(MONO, 6)
        pen.drawString(_MARGIN + label, bottom - 3.5 * mm, _clipped(document.head, 120 * mm, MONO, 6))
        pen.saveState()
        pen.translate(right, bottom)
        pen.refer("", 7.5, document.texts["page_of"].format(page=pen.getPageNumber()))
        pen.restoreState()


def _clipped(text: str, room: float, font: str, size: float) -> str:
    """Words as they fit on one line; cut short in one pass, for they may be very many."""
    text = drawable(text, font)
    ends = list(takewhile(lambda end: end <= room, accumulate(stringWidth(letter, font, size) for letter in text)))
    if len(ends) == len(text):
        return text
    dots = "..."
    count = bisect_right(ends, room - stringWidth(dots, font, size))
    return text[:count] + dots
