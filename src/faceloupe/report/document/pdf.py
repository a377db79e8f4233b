"""A case report as a PDF, A4: tagged for screen readers (PDF/UA-1) and fit for archives (PDF/A-3a), drawn by Typst.

The fonts are embedded: DejaVu covers Latin, Greek, Cyrillic, Hebrew, Arabic and more; Noto Sans CJK covers Chinese,
Japanese and Korean. A white square replaces a character that is in neither font. The template is ``case.typ``. It reads
all text from JSON, so that text is never interpreted as markup. It is drawn in a private folder that contains only the
template and its data.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from subprocess import Popen
from typing import Any, BinaryIO

from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document import join_pdf
from faceloupe.report.document import typeset as typesetting
from faceloupe.report.document.blocks import Block, Heading, Picture, Table, Verdict
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.format import number as number_text
from faceloupe.report.document.images import Fetch
from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.report.write import publish_file
from faceloupe.system import temp
from faceloupe.types import Progress

MOST_ENTRIES = 200  # log entries that are shown; the rest is counted
ITEMS_A_PART = 50  # a report with more items is drawn in parts
_PDF = "part.pdf"
_STANDARDS: tuple[typesetting.Standard, ...] = ("a-3a", "ua-1")
_SANS = ("DejaVu Sans", "Noto Sans CJK SC")
_SERIF = ("DejaVu Serif", *_SANS)
_PICTURES_SHARE = 0.6  # share of the work done when all pictures are made
_MISSING_GLYPH = "\u25a1"  # a white square
_MAY_BREAK = "\u200b"  # a zero-width space
_LONGEST_WORD, _PIECE = 32, 16  # characters: words longer than the first may break into pieces of the second
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")


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
        case: the record of a case.
        picture: SHA-256 of a PNG -> its bytes.
        target: the path of a new file, or a stream to write to.
        letterhead: the issuer of the report.
        language: language of the fixed texts.
        with_log: whether to show the first entries of the log.
        progress: called with the stage and the share done, 0..1.

    Raises:
        UsageError: there are no fixed texts in that language, or the file cannot be written.
        EvidenceError: a picture does not match its hash in the record.
    """
    document = CaseDocument(case, picture, letterhead, language)
    with tempfile.TemporaryDirectory(prefix=temp.prefix("pdf")) as folder:
        drawing = _Drawing(document, letterhead, MOST_ENTRIES if with_log else 0, progress or _ignored)
        path = drawing.whole(Path(folder)) if document.items <= ITEMS_A_PART else drawing.in_parts(Path(folder))
        if isinstance(target, Path):
            publish_file(lambda temporary: shutil.copyfile(path, temporary), target)
        else:
            with path.open("rb") as content:
                shutil.copyfileobj(content, target)


def _ignored(_stage: str, _share: float) -> None:
    pass


class _Drawing:
    """The drawing of a report from its blocks to a file.

    A long report is drawn in parts, each in a separate process, and the parts are joined: laying out the whole report
    at once takes about 2 MB of memory per page. The total number of pages is unknown while the parts are drawn, so only
    the first page states it.
    """

    def __init__(self, document: CaseDocument, letterhead: Letterhead, most_entries: int, progress: Progress) -> None:
        self._document, self._letterhead = document, letterhead
        self._most_entries, self._progress = most_entries, progress
        self._created = _created(document.created_utc)

    def whole(self, folder: Path) -> Path:
        """Draw the whole report at once, and return the path of the PDF.

        Raises:
            UsageError: the report cannot be drawn.
        """
        blocks = self._document.blocks(most_entries=self._most_entries)
        values = self._laid_out(_with_progress(blocks, self._document.items, self._progress), folder)
        _write_data(folder, values)
        self._progress("Laying out pages", _PICTURES_SHARE)
        path = folder / _PDF
        path.write_bytes(typesetting.typeset(folder, self._created, _STANDARDS))
        self._progress("Laying out pages", 1.0)
        return path

    def in_parts(self, folder: Path) -> Path:
        """Draw the report in parts, join them, and return the path of the PDF.

        While a part is drawn, the next one is laid out. The pages before the items are drawn twice: first to count
        them, and at the end with the numbers of the pages on which the items start.

        Raises:
            UsageError: the report cannot be drawn.
        """
        document, total = self._document, self._document.items
        groups = [(begin, min(begin + ITEMS_A_PART, total)) for begin in range(0, total, ITEMS_A_PART)]
        parts = [(f"items-{begin}", document.item_blocks(begin, end)) for begin, end in groups]
        parts.append(("closing", document.closing_blocks(most_entries=self._most_entries)))
        opening = folder / "opening"
        front = self._laid_out(document.opening_blocks(), opening)
        typesetting.finish(self._started(opening, front, 1))
        page, starts, paths = 1 + join_pdf.destinations(opening / _PDF)[0], dict[str, int](), [opening / _PDF]
        running: Popen[bytes] | None = None
        try:
            for number, (name, blocks) in enumerate(parts):
                self._progress(f"Part {number + 1} of {len(parts)}", number / (len(parts) + 1))
                values = self._laid_out(blocks, folder / name)
                if running is not None:
                    typesetting.finish(running)
                    page = _add_destinations(paths[-1], page, starts)
                running = self._started(folder / name, values, page)
                paths.append(folder / name / _PDF)
            if running is not None:
                typesetting.finish(running)
        finally:
            if running is not None and running.poll() is None:
                running.kill()
                running.communicate()
        pages = _add_destinations(paths[-1], page, starts) - 1
        self._progress("Joining parts", len(parts) / (len(parts) + 1))
        count = number_text(document.texts, pages, 0)
        typesetting.finish(self._started(opening, front, 1, starts, document.texts["pages_in_all"].format(count=count)))
        join_pdf.in_own_process(paths, folder / _PDF)
        self._progress("Joining parts", 1.0)
        return folder / _PDF

    def _started(
        self,
        folder: Path,
        values: dict[str, Any],
        first_page: int,
        pages: Mapping[str, int] | None = None,
        total: str = "",
    ) -> "Popen[bytes]":
        """Start to draw a part in a separate process.

        Args:
            folder: folder that contains the template and pictures of the part.
            values: values of the template.
            first_page: number of the first page of the part.
            pages: named destination in another part -> page number.
            total: sentence with the total number of pages.
        """
        _write_data(folder, values | {"part": {"first_page": first_page, "pages": pages or {}, "total": total}})
        # Only the first part has the heading of level 1 that PDF/UA-1 requires, and its metadata marks the joined PDF.
        standards = _STANDARDS if first_page == 1 else _STANDARDS[:1]
        return typesetting.start(folder, self._created, standards, folder / _PDF)

    def _laid_out(self, blocks: Iterable[Block], folder: Path) -> dict[str, Any]:
        """Write the template and the pictures of blocks to a folder, and return the values of the template."""
        folder.mkdir(exist_ok=True)
        document, letterhead, created, data = self._document, self._letterhead, self._created, _Data(folder)
        values = {
            "title": f"{document.texts['title']}: {document.case_name}",
            "subject": f"{document.texts['case_id']}: {document.case_id}",
            "created": {name: getattr(created, name) for name in ("year", "month", "day", "hour", "minute", "second")},
            "created_line": document.texts["created_line"].format(when=document.created),
            "texts": {key: document.texts[key] for key in ("page", "page_of", "log_line")},
            "logo": letterhead.logo_png is not None,
            "blocks": [data.plain(block) for block in blocks],
            "fonts": _SANS,
            "serif": _SERIF,
        }
        for name in ("organization", "case_name", "case_id", "head", "language", "address_lines"):
            values[name] = data.plain(getattr(document, name))
        if letterhead.logo_png is not None:
            (folder / "logo.png").write_bytes(letterhead.logo_png)
        template = files("faceloupe.report.document") / typesetting.TEMPLATE
        (folder / typesetting.TEMPLATE).write_bytes(template.read_bytes())
        return values


def _add_destinations(path: Path, first_page: int, starts: dict[str, int]) -> int:
    """Add the pages of the named destinations of a part to ``starts``, and return the number of the next page."""
    count, named = join_pdf.destinations(path)
    starts.update({name: first_page + page for name, page in named.items()})
    return first_page + count


def _write_data(folder: Path, values: dict[str, Any]) -> None:
    (folder / "data.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


class _Data:
    """Converter of blocks to JSON values, which writes their pictures to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pictures = folder, 0

    def plain(self, value: Any) -> Any:
        """Convert a value to JSON values."""
        if isinstance(value, str):
            return _breakable(
                "".join(letter if letter == "\n" or _font_has(letter) else _MISSING_GLYPH for letter in str(value))
            )
        if isinstance(value, (tuple, list)):
            return [self.plain(entry) for entry in value]
        if not is_dataclass(value):
            return value
        names = {"kind": type(value).__name__}
        if isinstance(value, Picture):
            return names | self._picture(value)
        plain = names | {field.name: self.plain(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, Verdict):
            plain |= {"shape": SHAPES[value.outcome], "color": COLORS[value.outcome]}
        if isinstance(value, Table):
            plain |= {"numbers": [value.is_number(column) for column in range(len(value.head))]}
        return plain

    def _picture(self, picture: Picture) -> dict[str, Any]:
        self._pictures += 1
        name = f"{self._pictures}.{picture.media_type.rpartition('/')[2]}"
        (self._folder / name).write_bytes(picture.content)
        size = {"width_mm": picture.width_mm, "height_mm": picture.height_mm}
        return {"file": name, "alt": self.plain(picture.alt)} | size


def _breakable(text: str) -> str:
    """Allow line breaks in long words, such as hashes."""
    return _LONG_WORD.sub(lambda word: _MAY_BREAK.join(re.findall(f".{{1,{_PIECE}}}", word[0])), text)


def _created(utc: str) -> datetime:
    """Return the time of the record in UTC, to the second, so that it does not depend on the time of the drawing."""
    return datetime.fromisoformat(utc).astimezone(UTC).replace(microsecond=0)


def _font_has(letter: str) -> bool:
    return ord(letter) in _characters()


@cache
def _characters() -> frozenset[int]:
    """Return the characters that the fonts can draw."""
    from fontTools.ttLib import TTCollection, TTFont  # imported here because only a PDF needs them

    sans, cjk = typesetting.font_files()[0], typesetting.font_files()[-1]
    return frozenset(TTFont(sans).getBestCmap()) | frozenset(TTCollection(cjk).fonts[0].getBestCmap())


def _with_progress(blocks: Iterator[Block], count: int, progress: Progress) -> Iterator[Block]:
    """Yield the blocks of ``count`` items, and report progress at each item."""
    items = 0
    for block in blocks:
        if isinstance(block, Heading) and block.anchor == f"item-{items + 1}":
            items += 1
            progress(f"Item {items} of {count}", _PICTURES_SHARE * items / count)
        yield block
