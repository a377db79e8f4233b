"""Reasons of a report in the language of its reader.

A record states its reasons in English. The texts ``reason_...`` of ``en.toml`` are the templates that they were made
from, and those of another language say the same. A part that no template fits, such as what a decoder said about a
file, stays in English.
"""

import re
import string
from collections.abc import Mapping
from functools import cache

from faceloupe.report.document.locales import texts_in
from faceloupe.report.numerals import localized

_PREFIX = "reason_"
_NESTED = ("reason", "why")  # fields that are reasons again
_FREE = (*_NESTED, "shots", "nearest")  # all others are numbers
_IN_LISTS = ("reason_shot", "reason_more_shots")
_ENGLISH = "en"


def reason_in(reason: str, language: str) -> str:
    """Return a reason of a report in a language.

    Args:
        reason: as the report states it, in English.
        language: one of ``locales.LANGUAGES``.

    Raises:
        UsageError: there are no texts in that language.
    """
    return reason if language == _ENGLISH else _translated(reason, texts_in(language))


def _translated(reason: str, texts: Mapping[str, str]) -> str:
    for key, pattern in _patterns().items():
        match = pattern.fullmatch(reason)
        if match and key not in _IN_LISTS:
            return _filled(key, match, texts)
    return reason


def _filled(key: str, match: re.Match[str], texts: Mapping[str, str]) -> str:
    values = dict(match.groupdict())
    for name, value in values.items():
        if name in _NESTED:
            values[name] = _translated(value, texts)
        elif name == "shots":
            values[name] = _shots(value, texts)
        elif name not in _FREE:
            values[name] = localized(value, texts["language"])
    return texts[key].format(**values)


def _shots(listed: str, texts: Mapping[str, str]) -> str:
    for key in _IN_LISTS:
        listed = _patterns()[key].sub(lambda match, key=key: _filled(key, match, texts), listed)  # type: ignore[misc]
    return listed


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    """Return the templates of English as patterns, in the order in which they are tried."""
    texts = texts_in(_ENGLISH)
    return {key: re.compile(_pattern(text), re.DOTALL) for key, text in texts.items() if key.startswith(_PREFIX)}


def _pattern(template: str) -> str:
    parts = []
    for literal, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if field is not None:
            parts.append(f"(?P<{field}>{'.+' if field in _FREE else r'[-+]?[0-9][0-9.,]*'})")
    return "".join(parts)
