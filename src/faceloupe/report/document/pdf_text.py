"""Text in a PDF: embedded fonts, styles, and cells."""

from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

from faceloupe.report.document import blocks
from faceloupe.report.drawing.overlays import COLORS, SHAPES

SANS, BOLD, SERIF, MONO = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono"
BODY, SMALL = 8.5, 7.5  # points
INK, FAINT, RULE = HexColor("#1a1a1a"), HexColor("#555555"), HexColor("#d0d0d0")
_LACKING = "\u25a1"  # a white square


@cache
def register_fonts() -> None:
    """Make the DejaVu fonts known: they cover Latin, Greek and Cyrillic, and come with matplotlib."""
    import matplotlib as mpl  # here: slow to import, and only its fonts are needed

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for name in (SANS, BOLD, SERIF, MONO):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))


@cache
def _glyphs(font: str) -> frozenset[int]:
    return frozenset(pdfmetrics.getFont(font).face.charToGlyph)


def drawable(text: str, font: str) -> str:
    """Words with a white square for each character that the font lacks."""
    glyphs = _glyphs(font)
    return "".join(letter if ord(letter) in glyphs or letter == "\n" else _LACKING for letter in text)


def markup(text: str, font: str) -> str:
    """Words as the content of a paragraph."""
    return escape(drawable(text, font)).replace("\n", "<br/>")


def style_of(name: str, font: str, size: float, **options: object) -> ParagraphStyle:
    """Return a style in the usual color and leading, if not said otherwise."""
    options.setdefault("leading", 1.35 * size)
    options.setdefault("textColor", INK)
    return ParagraphStyle(name, fontName=font, fontSize=size, splitLongWords=1, **options)


HEADINGS = {
    1: style_of("title", BOLD, 15, spaceBefore=14, spaceAfter=8),
    2: style_of("section", BOLD, 12, spaceBefore=16, spaceAfter=5),
    3: style_of("part", BOLD, 9.5, spaceBefore=10, spaceAfter=3),
}
SMALL_HEADING = style_of("finding", BOLD, BODY, spaceAfter=3)
LABEL = style_of("label", SANS, 8, textColor=FAINT)
HEAD = style_of("head", BOLD, SMALL)
NUMBER_HEAD = style_of("number head", BOLD, SMALL, alignment=TA_RIGHT)
CAPTION = style_of("caption", SANS, SMALL, textColor=FAINT, spaceBefore=2)
VERDICT = style_of("verdict", BOLD, 12, spaceAfter=3)
STATEMENT = style_of("statement", SERIF, BODY)
_TEXTS = {
    blocks.Style.PLAIN: (SANS, 1.0, {}),
    blocks.Style.RECORD: (SANS, 1.0, {}),
    blocks.Style.STRONG: (BOLD, 1.0, {}),
    blocks.Style.FAINT: (SANS, 1.0, {"textColor": FAINT}),
    blocks.Style.CODE: (MONO, 0.88, {}),
    blocks.Style.NUMBER: (SANS, 1.0, {"alignment": TA_RIGHT}),
}


def _text_styles(size: float, **options: object) -> dict[blocks.Style, ParagraphStyle]:
    return {
        style: style_of(f"{style}-{size}", font, share * size, leading=1.35 * size, **extra, **options)
        for style, (font, share, extra) in _TEXTS.items()
    }


IN_TABLE, IN_FACTS, RUNNING = _text_styles(SMALL), _text_styles(8), _text_styles(BODY, spaceAfter=4)
Styles = dict[blocks.Style, ParagraphStyle]


def cell(part: blocks.Cell, styles: Styles) -> Paragraph | list[Paragraph]:
    """Return a cell of a table."""
    plain = styles[blocks.Style.PLAIN]
    match part:
        case blocks.Text():
            style = styles[part.style]
            return Paragraph(markup(part.text, style.fontName), style)
        case blocks.Verdict():
            return Paragraph(verdict_markup(part), plain)
        case blocks.Link():
            return Paragraph(f'<link destination="{part.anchor}">{markup(part.text, SANS)}</link>', plain)
        case blocks.Lines():
            return [cell(line, styles) for line in part.parts]


def verdict_markup(part: blocks.Verdict) -> str:
    """Shape and word of an outcome as the content of a paragraph."""
    shape = f'<font name="{SANS}" color="{COLORS[part.outcome]}">{SHAPES[part.outcome]}</font>'
    return f'{shape} <font name="{BOLD}">{markup(part.text, BOLD)}</font>'
