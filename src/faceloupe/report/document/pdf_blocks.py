"""Blocks of a case report as what a PDF is laid out from."""

import io
from collections.abc import Iterable, Iterator
from functools import singledispatchmethod

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Image, KeepTogether, PageBreak, Paragraph, Spacer, Table
from reportlab.platypus.tables import LongTable

from faceloupe.report.document import blocks
from faceloupe.report.document.images import WIDTH_MM
from faceloupe.report.document.pdf_parts import Anchor, PageOf, RulerDrawing
from faceloupe.report.document.pdf_text import (
    BODY,
    BOLD,
    CAPTION,
    HEAD,
    HEADINGS,
    IN_FACTS,
    IN_TABLE,
    INK,
    LABEL,
    NUMBER_HEAD,
    RULE,
    RUNNING,
    SANS,
    SERIF,
    SMALL,
    SMALL_HEADING,
    STATEMENT,
    VERDICT,
    cell,
    markup,
    style_of,
    verdict_markup,
)

_PAGE_COLUMN = 13  # millimeters
_WHOLE, _WHOLE_HEIGHT = 12, 80 * mm  # a table with no more rows and no higher is kept on one page
_LEAST = 30 * mm  # room that a heading needs: itself, and the begin of what it heads


def _facts(part: blocks.Facts, width: float, *, label: float = 0.34) -> Table:
    """Return a table of labels and values.

    Args:
        part: the labels and values.
        width: of all, points.
        label: share of it that the labels take.
    """
    rows = [[Paragraph(markup(name, SANS), LABEL), cell(value, IN_FACTS)] for name, value in part.rows]
    table = Table(rows, [label * width, (1 - label) * width], splitInRow=1, hAlign="LEFT")
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ]
    )
    return table


def _image(picture: blocks.Picture) -> Image:
    image = Image(io.BytesIO(picture.content), picture.width_mm * mm, picture.height_mm * mm)
    image.hAlign = "LEFT"
    return image


def _figure(block: blocks.Figure) -> list[Flowable]:
    return [_image(block.picture), Paragraph(markup(block.caption, SANS), CAPTION), Spacer(0, 6)]


class Layout:
    """Turns blocks into flowables."""

    def __init__(self, page_word: str) -> None:
        """Create an empty table of contents.

        Args:
            page_word: heads the column of page numbers.
        """
        self._page_word = page_word
        self._width = WIDTH_MM * mm

    def story(self, document: Iterable[blocks.Block]) -> Iterator[Flowable]:
        """All that is drawn, with every heading on the page of what it heads."""
        headings: list[Flowable] = []
        for block in document:
            if isinstance(block, blocks.Heading):
                if block.new_page:
                    yield PageBreak()
                style = HEADINGS[block.level]
                headings.append(Anchor(block.anchor, block.text, block.level))
                headings.append(Paragraph(markup(block.text, style.fontName), style))
                continue
            for piece in self._pieces(block):
                if isinstance(piece, list):
                    yield KeepTogether([*headings, *piece])
                else:
                    if headings:
                        yield CondPageBreak(_LEAST)
                    yield from headings
                    yield piece
                headings = []

    @singledispatchmethod
    def _pieces(self, block: blocks.Block) -> Iterator[Flowable | list[Flowable]]:
        """Return what a block is drawn with; a list is kept on one page."""
        raise TypeError(f"no drawing for {type(block).__name__}")

    @_pieces.register
    def _(self, block: blocks.Paragraph) -> Iterator[Flowable]:
        yield cell(block.text, RUNNING)

    @_pieces.register
    def _(self, block: blocks.Bullets) -> Iterator[Flowable]:
        style = style_of("bullet", SANS, BODY, leftIndent=10, bulletIndent=1, spaceAfter=3)
        for entry in block.entries:
            yield Paragraph(markup(entry.text, SANS), style, bulletText="\u2022")

    @_pieces.register
    def _(self, block: blocks.Facts) -> Iterator[Flowable]:
        yield _facts(block, self._width)
        yield Spacer(0, 4)

    @_pieces.register
    def _(self, block: blocks.Table) -> Iterator[Flowable | list[Flowable]]:
        widths = [width / sum(block.widths) for width in block.widths]
        room = self._width - (_PAGE_COLUMN * mm if block.targets else 0)
        columns = [share * room for share in widths] + ([_PAGE_COLUMN * mm] if block.targets else [])
        head = [
            Paragraph(markup(heading, BOLD), NUMBER_HEAD if block.is_number(column) else HEAD)
            for column, heading in enumerate(block.head)
        ]
        rows = [[cell(part, IN_TABLE) for part in row] for row in block.rows]
        if block.targets:
            head.append(Paragraph(markup(self._page_word, BOLD), NUMBER_HEAD))
            for row, target in zip(rows, block.targets, strict=True):
                row.append(PageOf(target, SMALL))
        table = LongTable([head, *rows], columns, repeatRows=1, splitInRow=1, hAlign="LEFT")
        table.setStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
                ("LINEBELOW", (0, 1), (-1, -1), 0.4, RULE),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 8),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ]
        )
        if len(rows) <= _WHOLE and table.wrap(self._width, A4[1])[1] <= _WHOLE_HEIGHT:
            yield [table, Spacer(0, 6)]
        else:
            yield table
            yield Spacer(0, 6)

    @_pieces.register
    def _(self, block: blocks.Card) -> Iterator[list[Flowable]]:
        inner = self._width - 20
        content: list[Flowable] = [Paragraph(verdict_markup(block.verdict), VERDICT), cell(block.reason, RUNNING)]
        if block.ruler:
            content += [Spacer(0, 4), RulerDrawing(block.ruler), Spacer(0, 6)]
        content.append(_facts(block.facts, inner))
        frame = Table([[row] for row in content], [self._width], splitInRow=1)
        frame.setStyle(
            [
                ("BOX", (0, 0), (-1, -1), 1.0, INK),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("RIGHTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, 0), 8),
                ("TOPPADDING", (0, 1), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -2), 0),
                ("BOTTOMPADDING", (0, -1), (-1, -1), 8),
            ]
        )
        yield [frame, Spacer(0, 6)]

    @_pieces.register
    def _(self, block: blocks.Figure) -> Iterator[list[Flowable]]:
        yield _figure(block)

    @_pieces.register
    def _(self, block: blocks.Finding) -> Iterator[list[Flowable]]:
        pictures = [
            [_image(picture), Paragraph(markup(caption, SANS), CAPTION)]
            for picture, caption in zip(block.pictures, block.captions, strict=True)
        ]
        columns = [(picture.width_mm + 4) * mm for picture in block.pictures]
        rest = self._width - sum(columns)
        table = Table([[*pictures, _facts(block.facts, rest, label=0.48)]], [*columns, rest])
        table.setStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
            ]
        )
        strip = _figure(block.strip) if block.strip else []
        yield [Paragraph(markup(block.title, BOLD), SMALL_HEADING), *strip, table, Spacer(0, 6)]

    @_pieces.register
    def _(self, block: blocks.Statements) -> Iterator[list[Flowable]]:
        for entry in block.entries:
            yield [self._statement(entry), Spacer(0, 5)]

    def _statement(self, entry: blocks.Statement) -> Table:
        headline = (
            f'<font name="{BOLD}">{markup(entry.title, BOLD)}</font>, {markup(f"{entry.who}, {entry.when}", SERIF)}'
        )
        rows: list[Flowable] = [Paragraph(headline, STATEMENT)]
        if entry.facts.rows:
            rows.append(_facts(entry.facts, self._width - 20))
        rows += [Paragraph(markup(line, SERIF), STATEMENT) for line in entry.lines]
        field = Table([[row] for row in rows], [self._width], splitInRow=1)
        field.setStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), "#f3f3f3"),
                ("LINEBEFORE", (0, 0), (0, -1), 0.8, INK, None, None, None, 2, 1.2),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("RIGHTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
                ("TOPPADDING", (0, 0), (-1, 0), 5),
                ("BOTTOMPADDING", (0, -1), (-1, -1), 6),
            ]
        )
        return field
