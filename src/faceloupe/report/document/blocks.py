"""Blocks of a case report in reading order, which the HTML and the PDF renderer draw in their own way.

All text in them is ready to be shown: control characters are replaced (see ``format.shown``), but nothing is escaped.
"""

from dataclasses import dataclass
from enum import StrEnum

from faceloupe.types import Outcome


class Style(StrEnum):
    """Style of a piece of text."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    CODE = "code"  # hashes and similar text: fixed width, may break anywhere
    NUMBER = "number"  # right-aligned in tables
    RECORD = "record"  # verbatim text of the record: in English, or quoted from a file


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in one style; it may contain line breaks."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome as a shape and a word."""

    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Text that links to the heading with the given anchor."""

    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Several pieces in one cell, each on its own line."""

    parts: tuple["Text | Verdict | Link", ...]


Cell = Text | Verdict | Link | Lines


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading.

    Attributes:
        level: 1 for the title, 2 for a section, 3 for a subsection.
        anchor: name that links refer to.
        new_page: whether it starts a new page in print.
    """

    level: int
    text: str
    anchor: str
    new_page: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    text: Text


@dataclass(frozen=True, slots=True)
class Bullets:
    """An unordered list."""

    entries: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of a label and a value."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header row.

    Attributes:
        name: name for screen readers.
        head: header of each column, one or two words.
        rows: the rows, each with one cell for each column.
        widths: relative widths of the columns.
        targets: for each row the anchor of the heading that it is about, to print a page number; empty for none.
    """

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...]
    targets: tuple[str, ...] = ()

    def is_number(self, column: int) -> bool:
        """Return whether a column contains numbers, so that its header is right-aligned too."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, Text) and cell.style is Style.NUMBER for cell in cells)


@dataclass(frozen=True, slots=True)
class Ruler:
    """A score on a line from 0 to 1 with both thresholds.

    Attributes:
        shown: the score, the lower and the upper threshold as text.
        text: description of the ruler in words.
        zones: labels for the lower end, the part between the thresholds, and the upper end.
    """

    score: float
    lower: float
    upper: float
    shown: tuple[str, str, str]
    text: str
    zones: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Card:
    """The finding of the tool; ``ruler`` is None if there is no score."""

    verdict: Verdict
    reason: Text
    ruler: Ruler | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture prepared for print.

    Attributes:
        content: bytes of the image file.
        media_type: its media type, such as ``image/png``.
        width_mm, height_mm: size on paper, millimeters.
        alt: description of the picture in words.
    """

    content: bytes
    media_type: str
    width_mm: float
    height_mm: float
    alt: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A full-width picture with a caption."""

    picture: Picture
    caption: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Pictures of one face side by side, with its numbers beside them.

    Attributes:
        title: name of the face or track.
        strip: filmstrip above the pictures; None for an image.
        pictures: the pictures, all with the same millimeters per pixel.
        captions: one caption for each picture.
        facts: the numbers.
    """

    title: str
    strip: Figure | None
    pictures: tuple[Picture, ...]
    captions: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Statement:
    """A note, decision or signature of a person, which is kept apart from the findings of the tool.

    Attributes:
        title: kind of the statement.
        who: author of the statement.
        when: time of the statement, UTC, ready to be shown.
        facts: details of a decision or a signature; empty for a note.
        lines: lines of the text that was written.
    """

    title: str
    who: str
    when: str
    facts: Facts
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements of people, in order of time."""

    entries: tuple[Statement, ...]


Block = Heading | Paragraph | Bullets | Facts | Table | Card | Figure | Finding | Statements
