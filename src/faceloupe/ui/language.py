"""The language of the app. Its texts stand in the code in English, and are translated where they are shown.

A file of ``ui/locales`` is a language: English text -> text. Messages of errors stay English; what a report or a
check states is translated as in documents, see ``report.translation``.
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
"""The codes of the languages, English first."""


Translate = Callable[..., str]
"""``tr``, or the same for one language."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def current() -> str:
    """Return the code of the language of this session: the one chosen, that of the browser, or English."""
    chosen = st.session_state.get(state.APP_LANGUAGE)
    if chosen in LANGUAGES:
        return str(chosen)
    of_browser = str(st.context.locale or "").partition("-")[0].lower()
    return of_browser if of_browser in LANGUAGES else ENGLISH


def tr(english: str, **values: object) -> str:
    """Return a text in the language of this session; in English where it has no translation.

    Args:
        english: the text; names in braces are filled in where there are values.
        values: what is filled in.
    """
    return translator(current())(english, **values)


def translator(language: str) -> Translate:
    """Return ``tr`` for one language: for work in another thread, and for whoever has no session."""

    def translate(english: str, **values: object) -> str:
        text = texts_in(language).get(english, english)
        return _Numbers(language).format(text, **values) if values else text

    return translate


def accepted(header: str) -> str:
    """Return the code of the first language of an ``Accept-Language`` header that there is; else English."""
    codes = (part.partition(";")[0].strip().partition("-")[0].lower() for part in header.split(","))
    return next((code for code in codes if code in LANGUAGES), ENGLISH)


class _Numbers(string.Formatter):
    """Fills in values, and writes numbers that have a format as the language does."""

    def __init__(self, language: str) -> None:
        self._language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        """See ``string.Formatter``."""
        text = str(super().format_field(value, format_spec))
        return localized(text, self._language) if format_spec and isinstance(value, (int, float)) else text


def later(english: str) -> str:
    """Mark a text that is translated where it is shown."""
    return english


_STAGES = (  # of the core, which knows no language; numbers are filled in
    later("Collecting"),
    later("Decoding"),
    later("Explaining track {0} of {1}"),
    later("Filing"),
    later("Finding faces"),
    later("Frame {0} of about {1}"),
    later("Hashing"),
    later("Item {0} of {1}"),
    later("Joining parts"),
    later("Laying out pages"),
    later("Part {0} of {1}"),
    later("Reading the container"),
    later("Scoring face {0} of {1}"),
    later("Scoring {0} faces"),
    later("Waiting"),
    later("Writing"),
)


def stage(english: str) -> str:
    """Return the stage of a job in the language of this session; it may follow the name of a file and a colon."""
    before, colon, last = english.rpartition(": ")
    numbers, position = _NUMBER.findall(last), itertools.count()
    text = texts_in(current()).get(_NUMBER.sub(lambda _: f"{{{next(position)}}}", last))
    return english if text is None else before + colon + text.format(*numbers)


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """Return the translations into a language: English text -> text; none into English."""
    if language == ENGLISH:
        return MappingProxyType({})
    return MappingProxyType(tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8")))


def language_name(language: str) -> str:
    """Return the name of a language in that language."""
    return texts_in(language).get("English", "English")
