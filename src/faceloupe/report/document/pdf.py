"""A case report as a PDF, A4: tagged for screen readers (PDF/UA-1) and fit for archives (PDF/A-3a), drawn by Typst.

The fonts are embedded: DejaVu covers Latin, Greek, Cyrillic, Hebrew, Arabic and more, Noto Sans CJK Chinese, Japanese
and Korean. A white square stands for a character that both lack. ``case.typ`` is the template. Words reach it as JSON
alone, so that none of them is ever markup, and it is drawn in a private folder that has nothing else in it.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from faceloupe.errors import UsageError
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.blocks import Block, Heading, Picture, Table, Verdict
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.images import Fetch
from faceloupe.report.drawing.overlays import COLORS, SHAPES
from faceloupe.report.write import publish_file
from faceloupe.system import temp
from faceloupe.types import Progress

MOST_ENTRIES = 200  # of the log; the rest is counted
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
    blocks = document.blocks(most_entries=MOST_ENTRIES if with_log else 0)
    if progress:
        blocks = _reported(blocks, document.items, progress)
    with tempfile.TemporaryDirectory(prefix=temp.prefix("pdf")) as folder:
        content = _drawn(document, blocks, letterhead, Path(folder), progress)
    if isinstance(target, Path):
        publish_file(lambda path: path.write_bytes(content), target)
    else:
        target.write(content)


def _drawn(
    document: CaseDocument, blocks: Iterable[Block], letterhead: Letterhead, folder: Path, progress: Progress | None
) -> bytes:
    """Lay the data and the pictures of a report into an empty folder, and have it drawn there.

    Raises:
        UsageError: it cannot be drawn.
    """
    import typst  # here: a large library, which only this function needs

    created = _created(document.created_utc)
    data = _Data(folder)
    values = {
        "title": f"{document.texts['title']}: {document.case_name}",
        "subject": f"{document.texts['case_id']}: {document.case_id}",
        "created": {name: getattr(created, name) for name in ("year", "month", "day", "hour", "minute", "second")},
        "created_line": document.texts["created_line"].format(when=document.created),
        "texts": {key: document.texts[key] for key in ("page", "page_of", "log_line")},
        "logo": letterhead.logo_png is not None,
        "blocks": [data.plain(block) for block in blocks],
    }
    for name in ("organization", "case_name", "case_id", "head", "language", "address_lines"):
        values[name] = data.plain(getattr(document, name))
    text = json.dumps(values | {"fonts": _SANS, "serif": _SERIF}, ensure_ascii=False)
    (folder / "data.json").write_text(text, encoding="utf-8")
    if letterhead.logo_png is not None:
        (folder / "logo.png").write_bytes(letterhead.logo_png)
    template = folder / "case.typ"
    template.write_bytes((files("faceloupe.report.document") / "case.typ").read_bytes())
    if progress:
        progress("Laying out pages", _MADE)
    try:
        content: bytes = typst.compile(
            template, root=folder, font_paths=_fonts(), pdf_standards=["a-3a", "ua-1"], timestamp=created
        )
    except typst.TypstError as problem:
        raise UsageError(f"The PDF cannot be drawn ({problem}).") from None
    if progress:
        progress("Laying out pages", 1.0)
    return content


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
def _fonts() -> Any:
    """Return the fonts that are used and no other, so that those of the machine never change a report.

    DejaVu comes with matplotlib.
    """
    import typst  # here: see ``_drawn``

    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[path.parent for path in _font_files()]
    )


@cache
def _font_files() -> list[Path]:
    folder = _package("matplotlib") / "mpl-data" / "fonts" / "ttf"
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono")
    return [*(folder / f"{name}.ttf" for name in names), _package("noto_cjk_sans_otc") / "NotoSansCJK-Regular.ttc"]


def _package(name: str) -> Path:
    """Return the folder of an installed package, which is not imported for it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(f"The fonts of {name} are missing; install the extra `report`.")
    return Path(spec.origin).parent


@cache
def _characters() -> frozenset[int]:
    """Return the characters that can be drawn."""
    from fontTools.ttLib import TTCollection, TTFont  # here: only a PDF needs them

    sans, cjk = _font_files()[0], _font_files()[-1]
    return frozenset(TTFont(sans).getBestCmap()) | frozenset(TTCollection(cjk).fonts[0].getBestCmap())


def _reported(blocks: Iterator[Block], count: int, progress: Progress) -> Iterator[Block]:
    """Yield the blocks of so many items, and report progress at each item."""
    items = 0
    for block in blocks:
        if isinstance(block, Heading) and block.anchor == f"item-{items + 1}":
            items += 1
            progress(f"Item {items} of {count}", _MADE * items / count)
        yield block
