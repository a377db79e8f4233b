"""Calls of Typst for a folder with a template and its data; also in a separate process, to free its memory."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from faceloupe.errors import UsageError

TEMPLATE = "case.typ"
Standard = Literal["a-3a", "ua-1"]
_LONGEST_S = 900.0  # time limit for a part of a report


def typeset(folder: Path, created: datetime, standards: Sequence[Standard]) -> bytes:
    """Draw the template of a folder as a PDF.

    Args:
        folder: contains ``TEMPLATE`` and all files that it reads.
        created: creation time stated in the PDF, UTC.
        standards: standards that the PDF must follow, such as ``a-3a``.

    Raises:
        UsageError: the PDF cannot be drawn.
    """
    import typst  # imported here: a large library that few functions need

    try:
        content: bytes = typst.compile(
            folder / TEMPLATE, root=folder, font_paths=_fonts(), pdf_standards=[*standards], timestamp=created
        )
    except typst.TypstError as problem:
        raise UsageError(f"The PDF cannot be drawn ({problem}).") from None
    return content


def start(folder: Path, created: datetime, standards: Sequence[Standard], target: Path) -> "subprocess.Popen[bytes]":
    """Start a process that draws the template of a folder; the memory of Typst is freed when it ends."""
    arguments = [str(folder), created.isoformat(), str(target), *standards]
    return subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process that ``start`` returned.

    Raises:
        UsageError: the process could not draw its part, or took too long.
    """
    try:
        _, complaint = process.communicate(timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise UsageError("The PDF cannot be drawn (it takes too long).") from None
    if process.returncode:
        raise UsageError(complaint.decode(errors="replace").strip() or "The PDF cannot be drawn (its process ended).")


@cache
def _fonts() -> Any:
    """Return only the fonts that are used, so that the fonts of the machine never change a report.

    DejaVu comes with matplotlib.
    """
    import typst  # imported here: see ``typeset``

    folders = [path.parent for path in font_files()]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)


@cache
def font_files() -> list[Path]:
    """Return the font files: the most used font first, the font for Chinese, Japanese and Korean last.

    Raises:
        UsageError: the fonts are not installed.
    """
    folder = _package("matplotlib") / "mpl-data" / "fonts" / "ttf"
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono")
    return [*(folder / f"{name}.ttf" for name in names), _package("noto_cjk_sans_otc") / "NotoSansCJK-Regular.ttc"]


def _package(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(f"The fonts of {name} are missing; install the extra `report`.")
    return Path(spec.origin).parent


def _main() -> int:
    folder, created, target, *standards = sys.argv[1:]
    try:
        Path(target).write_bytes(
            typeset(Path(folder), datetime.fromisoformat(created), cast(list[Standard], standards))
        )
    except (UsageError, OSError) as problem:
        sys.stderr.write(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
