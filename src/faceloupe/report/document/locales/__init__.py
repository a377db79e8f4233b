"""The fixed texts of documents in each language, one TOML file per language; a new file adds a language.

Texts of the record, such as reasons, notes and the lines on scope, are in English there; ``report.translation``
translates them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from faceloupe.errors import UsageError

_FOLDER = files(__name__)
LANGUAGES = tuple(
    sorted((entry.name[:-5] for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")), key="en".__ne__)
)
"""Codes of the available languages, English first."""


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Return the fixed texts in a language; the file is read once.

    Args:
        language: code of the language, one of ``LANGUAGES``.

    Returns:
        Key -> text; words in braces are placeholders.

    Raises:
        UsageError: there are no texts in that language, or its file does not have the same keys as English.
    """
    if language not in LANGUAGES:
        raise UsageError(f"Reports can be written in {', '.join(LANGUAGES)}, not in {language!r}.")
    return MappingProxyType(read_texts(_FOLDER / f"{language}.toml", _FOLDER / "en.toml"))


def language_name(language: str) -> str:
    """Return the name of a language in that language; see ``texts_in``."""
    return texts_in(language)["language_name"]


def read_texts(file: Traversable, english: Traversable) -> dict[str, str]:
    """Read a file of texts, and check that it has the same keys as English.

    Raises:
        UsageError: a file cannot be read, or a key is missing or unknown.
    """
    try:
        texts = tomllib.loads(file.read_text("utf-8"))
        keys = tomllib.loads(english.read_text("utf-8")).keys()
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"The texts of reports in {file.name} cannot be read ({problem}); correct that file."
        ) from None
    for key in sorted(keys ^ texts.keys()):
        fault = "has no text" if key in keys else "has an unknown text"
        raise UsageError(f"{file.name} {fault} {key!r}; its keys must be those of {english.name}.")
    return texts
