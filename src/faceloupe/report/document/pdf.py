"""A case report as a PDF, A4: tagged for screen readers (PDF/UA-1) and fit for archives (PDF/A-3a), drawn by Typst.

The fonts are embedded: DejaVu covers Latin, Greek, Cyrillic, Hebrew, Arabic and more, Noto Sans CJK Chinese, Japanese
and Korean. A white square stands for a character that both lack. ``case.typ`` is the template. Words reach it as JSON
alone, so that none of them is ever markup, and it is drawn in a private folder that has nothing else in it.
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
from faceloupe.report.document import joined as joining
from faceloupe.report.document import typeset as typesetting
from faceloupe.report.document.blocks import Block, Heading, Picture, Table, Verdict
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.format import number as number_text
from faceloupe.report.document.images import Fetch
from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.report.write import publish_file
from faceloupe.system import temp
from faceloupe.types import Progress

MOST_ENTRIES = 200  # of the log; the rest is counted
ITEMS_A_PART = 50  # a report of more items is drawn in parts
_PDF = "part.pdf"
_STANDARDS: tuple[typesetting.Standard, ...] = ("a-3a", "ua-1")
_SANS = ("DejaVu Sans", "Noto Sans CJK SC")
_SERIF = ("DejaVu Serif", *_SANS)
_MADE = 0.6  # share of the work that is done when all pictures are made
_LACKING = "\u25a1"  # a white square
_MAY_BREAK = "\u200b"  # a space without width
_LONGEST_WORD, _PIECE = 32, 16  # characters: longer words may be broken after so many
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
    """A report on its way from blocks to a file.

    A long one is drawn in parts, each by a process of its own, and these are joined: to lay out all of it at once takes
    some 2 MB of memory a page. How many pages there are is not known while the parts are drawn, so only the first page
    states it.
    """

    def __init__(self, document: CaseDocument, letterhead: Letterhead, most_entries: int, progress: Progress) -> None:
        self._document, self._letterhead = document, letterhead
        self._most_entries, self._progress = most_entries, progress
        self._created = _created(document.created_utc)

    def whole(self, folder: Path) -> Path:
        """Draw all of it at once; the file of the PDF.

        Raises:
            UsageError: it cannot be drawn.
        """
        blocks = self._document.blocks(most_entries=self._most_entries)
        values = self._laid_out(_reported(blocks, self._document.items, self._progress), folder)
        _write_data(folder, values)
        self._progress("Laying out pages", _MADE)
        path = folder / _PDF
        path.write_bytes(typesetting.typeset(folder, self._created, _STANDARDS))
        self._progress("Laying out pages", 1.0)
        return path

    def in_parts(self, folder: Path) -> Path:
        """Draw it in parts and join them; the file of the PDF.

        While a part is drawn, the next one is laid out. The pages before the items are drawn twice: at first for their
        number, and at last with the pages on which the items start.

        Raises:
            UsageError: it cannot be drawn.
        """
        document, total = self._document, self._document.items
        groups = [(begin, min(begin + ITEMS_A_PART, total)) for begin in range(0, total, ITEMS_A_PART)]
        parts = [(f"items-{begin}", document.item_blocks(begin, end)) for begin, end in groups]
        parts.append(("closing", document.closing_blocks(most_entries=self._most_entries)))
        opening = folder / "opening"
        front = self._laid_out(document.opening_blocks(), opening)
        typesetting.finish(self._started(opening, front, 1))
        page, starts, paths = 1 + joining.places(opening / _PDF)[0], dict[str, int](), [opening / _PDF]
        running: Popen[bytes] | None = None
        try:
            for number, (name, blocks) in enumerate(parts):
                self._progress(f"Part {number + 1} of {len(parts)}", number / (len(parts) + 1))
                values = self._laid_out(blocks, folder / name)
                if running is not None:
                    typesetting.finish(running)
                    page = _counted(paths[-1], page, starts)
                running = self._started(folder / name, values, page)
                paths.append(folder / name / _PDF)
            if running is not None:
                typesetting.finish(running)
        finally:
            if running is not None and running.poll() is None:
                running.kill()
                running.communicate()
        pages = _counted(paths[-1], page, starts) - 1
        self._progress("Joining parts", len(parts) / (len(parts) + 1))
        count = number_text(document.texts, pages, 0)
        typesetting.finish(self._started(opening, front, 1, starts, document.texts["pages_in_all"].format(count=count)))
        joining.in_own_process(paths, folder / _PDF)
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
        """Start to draw a part, from its first page on.

        Args:
            folder: it is laid out in.
            values: of its template.
            first_page: number of its first page.
            pages: those on which named places of other parts lie.
            total: the number of all pages, in words.
        """
        _write_data(folder, values | {"part": {"first_page": first_page, "pages": pages or {}, "total": total}})
        # Only the first part has the heading of level 1 that PDF/UA-1 asks for, and it marks the whole.
        standards = _STANDARDS if first_page == 1 else _STANDARDS[:1]
        return typesetting.start(folder, self._created, standards, folder / _PDF)

    def _laid_out(self, blocks: Iterable[Block], folder: Path) -> dict[str, Any]:
        """Lay template and pictures of blocks into a folder; the values of the template."""
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


def _counted(path: Path, first_page: int, starts: dict[str, int]) -> int:
    """Note the pages of the named places of a part; the number of the page after it."""
    count, named = joining.places(path)
    starts.update({name: first_page + page for name, page in named.items()})
    return first_page + count


def _write_data(folder: Path, values: dict[str, Any]) -> None:
    (folder / "data.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


class _Data:
    """Blocks as JSON values; their pictures become files of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pictures = folder, 0

    def plain(self, value: Any) -> Any:
        """Return a value as JSON values."""
        if isinstance(value, str):
            return _breakable("".join(letter if letter == "\n" or _has(letter) else _LACKING for letter in str(value)))
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
    """Let long words, such as hashes, be broken."""
    return _LONG_WORD.sub(lambda word: _MAY_BREAK.join(re.findall(f".{{1,{_PIECE}}}", word[0])), text)


def _created(utc: str) -> datetime:
    """Return the time of the record to the second, in UTC: that of the report and not of the drawing."""
    return datetime.fromisoformat(utc).astimezone(UTC).replace(microsecond=0)


def _has(letter: str) -> bool:
    return ord(letter) in _characters()


@cache
def _characters() -> frozenset[int]:
    """Return the characters that can be drawn."""
    from fontTools.ttLib import TTCollection, TTFont  # here: only a PDF needs them

    sans, cjk = typesetting.font_files()[0], typesetting.font_files()[-1]
    return frozenset(TTFont(sans).getBestCmap()) | frozenset(TTCollection(cjk).fonts[0].getBestCmap())


def _reported(blocks: Iterator[Block], count: int, progress: Progress) -> Iterator[Block]:
    """Yield the blocks of so many items, and report progress at each item."""
    items = 0
    for block in blocks:
        if isinstance(block, Heading) and block.anchor == f"item-{items + 1}":
            items += 1
            progress(f"Item {items} of {count}", _MADE * items / count)
        yield block
