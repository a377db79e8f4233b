"""Joining of tagged PDFs from Typst into one, with structure, bookmarks and links; also in a separate process.

Besides the pages, the objects that exist only once in a PDF must be joined: the structure tree (ISO 32000-1, 14.7) with
its map from pages to structure, the identifiers of table cells, the bookmarks, and the named destinations of links.
"""

import re
import string
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, Pdf, String

from faceloupe.errors import UsageError

LINK = "part:"  # prefix of a link to a named destination, which can be in another part
_AT_ONCE = 4  # parts that are joined before the result is written and read again, which limits the memory
_CELL = re.compile(rb"\(U(?=\d+x\d+y\d+\))")  # identifiers of cells, which are the same in each part
_LETTERS = (string.ascii_uppercase + string.ascii_lowercase).replace("U", "").encode()
_PAGES = re.compile(rb"(<xmpTPg:NPages>)\d+(</xmpTPg:NPages>)")


def destinations(path: Path) -> tuple[int, dict[str, int]]:
    """Return the number of pages of a part, and the page of each named destination in it, from 0."""
    with Pdf.open(path) as pdf:
        numbers = {page.obj.objgen: number for number, page in enumerate(pdf.pages)}
        named = {str(name): numbers[target[0].objgen] for name, target in _pairs(pdf.Root.Names.Dests.Names)}
        return len(numbers), named


def join(parts: Sequence[Path], target: Path) -> None:
    """Join parts into one PDF; its metadata is taken from the first part.

    Args:
        parts: files of the parts, which are changed.
        target: the file to write.
    """
    for number, path in enumerate(parts[1:]):
        letter = _LETTERS[number : number + 1]
        path.write_bytes(_CELL.sub(b"(" + letter, path.read_bytes()))  # same length, so no byte offset changes
    whole = parts[0]
    for begin in range(1, len(parts), _AT_ONCE):
        some = parts[begin : begin + _AT_ONCE]
        written = target.with_name(f"{target.name}.{begin}")
        with Pdf.open(whole) as pdf:
            opened = [Pdf.open(path) for path in some]
            for part in opened:
                _append(pdf, part)
            _finish(pdf)
            pdf.save(written, deterministic_id=True)
            for part in opened:
                part.close()
        whole = written
    whole.rename(target)


def in_own_process(parts: Sequence[Path], target: Path) -> None:
    """Join parts in a separate process, whose memory is freed when it ends; see ``join``.

    Raises:
        UsageError: there are too many parts, or they cannot be joined.
    """
    if len(parts) > len(_LETTERS):
        raise UsageError("The PDF cannot be drawn (it has too many parts).")
    command = [sys.executable, "-m", __name__, *map(str, parts), str(target)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UsageError(f"The PDF cannot be drawn (its parts cannot be joined: {reason}).")


def _append(pdf: Pdf, part: Pdf) -> None:
    tree, count = pdf.Root.StructTreeRoot, len(pdf.pages)
    offset = int(tree.ParentTreeNextKey)
    pdf.pages.extend(part.pages)
    for page in pdf.pages[count:]:  # shift the keys of the map from pages to structure
        page.obj.StructParents = int(page.obj.StructParents) + offset
        for note in page.obj.get(Name.Annots, Array()):
            if Name.StructParent in note:
                note.StructParent = int(note.StructParent) + offset
    added = _copied(pdf, part, part.Root.StructTreeRoot)
    for key, value in _pairs(added.ParentTree.Nums):
        tree.ParentTree.Nums.append(int(key) + offset)
        tree.ParentTree.Nums.append(value)
    tree.ParentTreeNextKey = offset + int(added.ParentTreeNextKey)
    document = tree.K[0]
    for child in added.K[0].K:
        child.P = document
        document.K.append(child)
    if Name.IDTree in added:
        tree.IDTree.Names.extend(added.IDTree.Names)
    pdf.Root.Names.Dests.Names.extend(_copied(pdf, part, part.Root.Names).Dests.Names)
    if Name.Outlines in part.Root:
        _append_bookmarks(pdf.Root.Outlines, _copied(pdf, part, part.Root.Outlines))


def _copied(pdf: Pdf, part: Pdf, values: Object) -> Object:
    """Return a copy of an object of a part, in which references to pages lead to the pages that were already copied."""
    return pdf.copy_foreign(values if values.is_indirect else part.make_indirect(values))


def _append_bookmarks(outlines: Object, added: Object) -> None:
    entry: Object | None = added.First
    while entry is not None:
        entry.Parent = outlines
        entry = entry.get(Name.Next)
    outlines.Last.Next, added.First.Prev = added.First, outlines.Last
    outlines.Last = added.Last
    outlines.Count = int(outlines.Count) + int(added.Count)


def _finish(pdf: Pdf) -> None:
    """Sort the names, turn addresses of links into destinations, and state the number of pages."""
    for names in (pdf.Root.StructTreeRoot.IDTree.Names, pdf.Root.Names.Dests.Names):
        pairs = sorted(_pairs(names), key=lambda pair: bytes(pair[0]))
        for at, (name, value) in enumerate(pairs):
            names[2 * at], names[2 * at + 1] = name, value
    for page in pdf.pages:
        for note in page.obj.get(Name.Annots, Array()):
            address = str(note.get(Name.A, Dictionary()).get(Name.URI, ""))
            if address.startswith(LINK):
                note.Dest = String(address.removeprefix(LINK))
                del note.A
    metadata = pdf.Root.Metadata
    stated = _PAGES.sub(rb"\g<1>%d\g<2>" % len(pdf.pages), metadata.read_bytes())
    metadata.write(stated)


def _pairs(flat: Object) -> Iterator[tuple[Object, Object]]:
    values = list(flat.as_list())
    return zip(values[::2], values[1::2], strict=True)


def _main() -> int:
    *parts, target = map(Path, sys.argv[1:])
    try:
        join(parts, target)
    except (pikepdf.PdfError, OSError, ValueError) as problem:
        sys.stderr.write(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
