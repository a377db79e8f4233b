"""What a case report is made of: blocks in reading order, which the HTML and the PDF draw each in their own way.

All words in them are ready to be shown: neutralized (see ``wording.shown``), but not escaped for any format.
"""

from dataclasses import dataclass
from enum import StrEnum

from faceloupe.types import Outcome


class Style(StrEnum):
    """How a piece of text is set."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    CODE = "code"  # hashes and the like: fixed width, may break anywhere
    NUMBER = "number"  # set to the right in tables
    RECORD = "record"  # a text of the record as it stands there: in English, or in the words of a file


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in one style; it may hold line breaks."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome as shape and word."""

    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead to the heading of that anchor."""

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
        level: 1 for the title, 2 for a section, 3 within one.
        anchor: by which links find it.
        new_page: whether a new page starts with it in print.
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
    """A list without an order."""

    entries: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels, and what is to be said to each."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a head row.

    Attributes:
        name: for those who hear it rather than see it.
        head: one word or two a column.
        rows: as many cells each.
        widths: of the columns, relative to each other.
        targets: anchor of the heading that each row is about, for its page number in print; empty for none.
    """

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...]
    targets: tuple[str, ...] = ()

    def is_number(self, column: int) -> bool:
        """Whether numbers stand in a column, so that its head is set to the right, too."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, Text) and cell.style is Style.NUMBER for cell in cells)


@dataclass(frozen=True, slots=True)
class Ruler:
    """A score on a line from 0 to 1 with both thresholds; each number also as it is to be shown.

    Attributes:
        text: the ruler in words.
        zones: words for the lower end, the stretch between the thresholds, and the upper end.
    """

    score: float
    lower: float
    upper: float
    shown: tuple[str, str, str]
    text: str
    zones: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Card:
    """What the machine found; ruler is None where it gave no score."""

    verdict: Verdict
    reason: Text
    ruler: Ruler | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture fit for print.

    Attributes:
        content: the file.
        media_type: its kind.
        width_mm, height_mm: on paper.
        alt: what it shows, in words.
    """

    content: bytes
    media_type: str
    width_mm: float
    height_mm: float
    alt: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture over the full width, with a caption."""

    picture: Picture
    caption: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Pictures of one face side by side, and its numbers beside them.

    Attributes:
        title: which face.
        strip: above the pictures; None for a still.
        pictures: all at the same millimeters per pixel.
        captions: of each.
        facts: the numbers.
    """

    title: str
    strip: Figure | None
    pictures: tuple[Picture, ...]
    captions: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Statement:
    """Something a person wrote or decided: never mixed with what the machine found.

    Attributes:
        title: what it is.
        who: wrote it.
        when: UTC, ISO.
        facts: of a decision; empty otherwise.
        lines: what was written.
    """

    title: str
    who: str
    when: str
    facts: Facts
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statements:
    """What people said, in order of time."""

    entries: tuple[Statement, ...]


Block = Heading | Paragraph | Bullets | Facts | Table | Card | Figure | Finding | Statements
