"""Statements of a file about itself, collected within limits."""

from collections.abc import Callable

import msgspec

from faceloupe.media.jpeg_structure import JpegStructure

LARGEST_BLOCK = 8 << 20  # bytes of one XMP packet or of one decompressed text
LONGEST_VALUE = 1 << 20  # characters kept of one value; of a longer value, half from each end
MOST_CHARACTERS = 4 << 20  # kept of all values of a file
MOST_STATEMENTS = 4000
MOST_BLOCKS = 20_000  # segments or chunks that are read


class Statement(msgspec.Struct, frozen=True):
    """One statement of a file about itself.

    Attributes:
        structure: the structure that holds the statement: ``EXIF``, ``XMP``, ``IPTC``, ``PNG text``, ``JPEG comment``,
            ``GIF comment``, ``container``, ``stream`` or ``bitstream``; or ``structure``: how a video is built.
        key: name of the statement in that structure.
        value: value as text; if it is longer than ``LONGEST_VALUE``, only its start and its end.
        size: characters of the whole value.
    """

    structure: str
    key: str
    value: str
    size: int


class Metadata(msgspec.Struct, frozen=True):
    """The statements of a file about itself.

    Attributes:
        statements: the statements in file order.
        problems: what could not be read, one sentence each.
        has_position: whether EXIF holds a position (GPS).
        thumbnail: the JPEG preview in EXIF; empty if there is none.
        profile: the ICC color profile; empty if there is none.
        jpeg: structure of a JPEG file; None for other formats.
    """

    statements: tuple[Statement, ...] = ()
    problems: tuple[str, ...] = ()
    has_position: bool = False
    thumbnail: bytes = b""
    profile: bytes = b""
    jpeg: JpegStructure | None = None


class Collector:
    """Collector of statements within the limits.

    Attributes:
        with_position: whether the position in EXIF (GPS) is listed.
    """

    def __init__(self, *, with_position: bool) -> None:
        """Start without statements."""
        self.statements: list[Statement] = []
        self.problems: list[str] = []
        self.with_position, self.has_position = with_position, False
        self.thumbnail = self.profile = b""
        self.jpeg: JpegStructure | None = None
        self._left = MOST_CHARACTERS

    def metadata(self) -> Metadata:
        """Return the statements and problems collected so far."""
        return Metadata(
            tuple(self.statements),
            tuple(self.problems),
            self.has_position,
            self.thumbnail,
            self.profile,
            self.jpeg,
        )

    def add(self, structure: str, key: str, value: str) -> None:
        """Add a statement, or note a problem if a limit is reached; see ``Statement``."""
        size = len(value)
        if size > LONGEST_VALUE:
            value = f"{value[: LONGEST_VALUE // 2]} … {value[-LONGEST_VALUE // 2 :]}"
        if len(self.statements) >= MOST_STATEMENTS or len(value) > self._left:
            self.problem("The file states more about itself than is read; the rest was left out.")
            return
        self._left -= len(value)
        self.statements.append(Statement(structure, _clean(key)[:200], _clean(value), size))

    def problem(self, sentence: str) -> None:
        """Note a problem; the same sentence is noted only once."""
        if sentence not in self.problems:
            self.problems.append(sentence)

    def run_reader(self, what: str, read: Callable[[], None]) -> None:
        """Run a reader, and note a problem if it raises an exception.

        On a hostile file, a library can raise any exception; each means that the block ``what`` is damaged.
        """
        try:
            read()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - see above
            self.problem(f"The {what} data is damaged and was not read completely.")


def _clean(text: str) -> str:
    """Return text that can be shown: controls, format marks and lone surrogates are replaced, line ends are kept."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def decoded(data: bytes) -> str:
    """Return bytes as text: UTF-16 with a byte order mark, UTF-8, or Latin-1, whichever fits first."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").rstrip("\0")
    data = data.rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
