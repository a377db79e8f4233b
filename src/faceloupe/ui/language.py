"""The language of the app. Texts are written in English in the code, and translated when they are shown.

Each file in ``ui/locales`` is a language and maps English texts to translations. Error messages stay English; the
sentences of reports and checks are translated as in documents, see ``report.translation``.
"""

import itertools
import re
import string
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import streamlit as st

from faceloupe.report.numerals import localized
from faceloupe.ui import state

_FOLDER = files("faceloupe.ui") / "locales"
ENGLISH = "en"
LANGUAGES = (ENGLISH, *sorted(entry.name[:-5] for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")))
"""Codes of the available languages, English first."""


Translate = Callable[..., str]
"""Type of ``tr``, and of the functions that ``translator`` returns for one language."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def current() -> str:
    """Return the language code of this session: the chosen one, that of the browser, or English."""
    chosen = st.session_state.get(state.APP_LANGUAGE)
    if chosen in LANGUAGES:
        return str(chosen)
    of_browser = str(st.context.locale or "").partition("-")[0].lower()
    return of_browser if of_browser in LANGUAGES else ENGLISH


def tr(english: str, **values: object) -> str:
    """Return a text in the language of this session, or in English if it has no translation.

    Args:
        english: the English text; names in braces are replaced if values are given.
        values: values for the names in braces.
    """
    return translator(current())(english, **values)


def translator(language: str) -> Translate:
    """Return ``tr`` for one language, for use in other threads and without a session."""

    def translate(english: str, **values: object) -> str:
        text = texts_in(language).get(english, english)
        return _Numbers(language).format(text, **values) if values else text

    return translate


def accepted(header: str) -> str:
    """Return the code of the first supported language in an ``Accept-Language`` header, or English."""
    codes = (part.partition(";")[0].strip().partition("-")[0].lower() for part in header.split(","))
    return next((code for code in codes if code in LANGUAGES), ENGLISH)


class _Numbers(string.Formatter):
    """Formatter that writes numbers with a format specification in the style of a language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        """See ``string.Formatter``."""
        text = str(super().format_field(value, format_spec))
        return localized(text, self._language) if format_spec and isinstance(value, (int, float)) else text


def mark_for_translation(english: str) -> str:
    """Mark a text for translation when it is shown, and return it unchanged."""
    return english


_STAGES = (  # the core reports them in English; numbers are filled in
    mark_for_translation("Collecting"),
    mark_for_translation("Decoding"),
    mark_for_translation("Explaining track {0} of {1}"),
    mark_for_translation("Filing"),
    mark_for_translation("Finding faces"),
    mark_for_translation("Frame {0} of about {1}"),
    mark_for_translation("Hashing"),
    mark_for_translation("Item {0} of {1}"),
    mark_for_translation("Joining parts"),
    mark_for_translation("Laying out pages"),
    mark_for_translation("Part {0} of {1}"),
    mark_for_translation("Reading the container"),
    mark_for_translation("Scoring face {0} of {1}"),
    mark_for_translation("Scoring {0} faces"),
    mark_for_translation("Waiting"),
    mark_for_translation("Writing"),
)


def stage(english: str) -> str:
    """Return the stage of a job in the language of this session; a file name and colon before it are kept."""
    before, colon, last = english.rpartition(": ")
    numbers, position = _NUMBER.findall(last), itertools.count()
    text = texts_in(current()).get(_NUMBER.sub(lambda _: f"{{{next(position)}}}", last))
    return english if text is None else before + colon + text.format(*numbers)


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Return the translations into a language (English text -> translation); empty for English."""
    if language == ENGLISH:
        return MappingProxyType({})
    return MappingProxyType(tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8")))


def language_name(language: str) -> str:
    """Return the name of a language in that language."""
    return texts_in(language).get("English", "English")
