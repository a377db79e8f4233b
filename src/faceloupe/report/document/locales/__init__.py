"""The fixed texts of documents, by language: one TOML file each in this folder; a new file is a new language.

What stands in the record itself, such as reasons, notes and the lines on scope, is in English there; see
``report.translation``.
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
"""The codes of the languages, English first."""


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Read the fixed texts in a language, once.

    Args:
        language: its code, one of ``LANGUAGES``.

    Returns:
        Text by key; words in braces are to be filled in.

    Raises:
        UsageError: there are none in that language, or its file does not hold the keys of English.
    """
    if language not in LANGUAGES:
        raise UsageError(f"Reports can be written in {', '.join(LANGUAGES)}, not in {language!r}.")
    return MappingProxyType(read_texts(_FOLDER / f"{language}.toml", _FOLDER / "en.toml"))


def language_name(language: str) -> str:
    """Return the name of a language in that language; see ``texts_in``."""
    return texts_in(language)["language_name"]


def read_texts(file: Traversable, english: Traversable) -> dict[str, str]:
    """Read a file of texts, and hold its keys against those of English.

    Raises:
        UsageError: it cannot be read, or a key is missing or unknown.
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
