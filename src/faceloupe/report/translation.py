"""Translation of the texts of a record, or of a check, into the language of the reader.

These texts are in English. Their sentences, terms and facts were made from templates: the texts of ``en.toml`` whose
keys begin with one of the words below. The files of the other languages hold the translated templates. A text that fits
no template, such as a quotation from the file or a message of a library, is not translated.
"""

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache

from faceloupe.forensics.results import LONGEST_QUOTE
from faceloupe.report.document.locales import texts_in
from faceloupe.report.numerals import localized


class Part(StrEnum):
    """Kind of a text in a record; only templates of its kind are tried, so that texts are not confused."""

    SENTENCE = "sentence"
    KINDS = "kind"  # kinds of manipulation
    LENS = "lens"  # title of a lens
    PROGRAM = "program"  # program that a file claims to be made with
    PICTURE = "picture"  # picture of a lens: its caption, and the ends of its scale
    NAME = "fact"  # name of a fact
    CHECK = "check"  # finding of the check of a bundle or a log
    # The following kinds occur only inside other texts.
    VALUE = "value"
    CUT = "cut"  # text of a file that was cut because of its length
    SHOTS = "shot"
    EDITS = "edit"
    TREATMENT = "treatment"
    CONTENT = "content"
    COPIED = "copied"
    UNREADABLE = "unreadable"
    PLACE = "place"
    SIGNER = "signer"
    OUTCOME = "outcome"
    WEAK = "weak"
    ODDITY = "oddity"  # irregularity of a member of a bundle
    STATEMENTS = "statements"  # kind of the statements of people in a bundle


_WORDS = {part.value: part for part in Part} | dict.fromkeys(
    ("reason", "proposition", "sample", "limit", "note", "problem", "claim"), Part.SENTENCE
)
"""First word of a key -> kind of the texts that its template matches."""
_SEPARATORS = {Part.KINDS: "; ", Part.EDITS: "; ", Part.SHOTS: ", ", Part.WEAK: ", "}  # kinds whose texts are lists
_NEXT_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
_LONGEST = 4000  # longest text that is translated, characters
_DEEPEST = 12  # greatest nesting depth of texts
_ENGLISH = "en"
_NUMBER = r"[-+]?[0-9][0-9.,]*(?:e[-+]?[0-9]+)?"
_ANY = ".*"  # at most one in a template, so that the length of a hostile text limits the matching time


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a template that is not a number.

    Attributes:
        pattern: regular expression that the text must match.
        part: kind of the text if it is translated as well; None if it is not.
    """

    pattern: str
    part: Part | None = None


_FIELDS = {
    **dict.fromkeys(("reason", "why"), _Field(_ANY, Part.SENTENCE)),
    "shots": _Field(_ANY, Part.SHOTS),
    "edits": _Field(_ANY, Part.EDITS),
    "weak": _Field(_ANY, Part.WEAK),
    "signer": _Field(_ANY, Part.SIGNER),
    "treatment": _Field(".{1,150}", Part.TREATMENT),
    "content": _Field(".{1,150}", Part.CONTENT),
    "copied": _Field(".{1,150}", Part.COPIED),
    "unreadable": _Field(".{1,150}", Part.UNREADABLE),
    "program": _Field("[^:]{1,150}", Part.PROGRAM),
    "place": _Field("[A-Za-z ]{1,30}", Part.PLACE),
    "outcome": _Field("[a-z ]{1,30}", Part.OUTCOME),
    "finding": _Field(_ANY, Part.CHECK),
    "member": _Field(r"""'.{0,1000}'|".{0,1000}\""""),  # quoted by ``repr``
    "oddity": _Field(r"""[^'"]{1,150}""", Part.ODDITY),
    "statements": _Field("[a-z-]{1,30}", Part.STATEMENTS),
    **dict.fromkeys(("key", "nearest", "failures", "address", "message"), _Field(_ANY)),
    **dict.fromkeys(("name", "case", "bundle", "form"), _Field(".{0,300}")),
    "record": _Field(r"case\.json|items\.jsonl"),
    **dict.fromkeys(("coding", "codec", "space", "code"), _Field(r"[^()]{0,60}")),
    "begin": _Field(f".{{{LONGEST_QUOTE}}}"),
    "standard": _Field("[^,:]{1,40}"),
    **dict.fromkeys(("sha256", "given"), _Field("[0-9a-f]{64}")),
    "date": _Field("[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    **dict.fromkeys(("changed_at", "taken_at"), _Field("[0-9: -]{19}")),
    "aspect": _Field("[0-9]+:[0-9]+"),
    # Tags whose value is not text (EXIF 2.32, table 7): only their size is read.
    "tag": _Field(
        "MakerNote|ComponentsConfiguration|FileSource|SceneType|CFAPattern|OECF|SpatialFrequencyResponse"
        "|DeviceSettingDescription|PrintImageMatching"
    ),
}


@dataclass(frozen=True, slots=True)
class _Templates:
    """The English templates for one kind of text.

    Attributes:
        plain: template without fields -> its key.
        patterns: key of a template with fields -> its regular expression, in the order in which they are tried.
    """

    plain: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, re.Pattern[str]] = field(default_factory=dict)

    def match(self, text: str) -> tuple[str, dict[str, str]] | None:
        """Return the key of the template that a text was made from, and the values of its fields; None if none fits."""
        if text in self.plain:
            return self.plain[text], {}
        if len(text) > _LONGEST:
            return None
        matches = ((key, pattern.fullmatch(text)) for key, pattern in self.patterns.items())
        return next(((key, match.groupdict()) for key, match in matches if match), None)


def translated(text: str, language: str, part: Part = Part.SENTENCE) -> str:
    """Translate a text of a record.

    Args:
        text: the English text of the record.
        language: one of ``locales.LANGUAGES``.
        part: kind of the text.

    Raises:
        UsageError: there are no texts in that language.
    """
    if language == _ENGLISH or len(text) > _LONGEST:
        return text
    return _translated_cached(text, part, language)


def translated_fact(name: str, value: str, language: str) -> tuple[str, str]:
    """Translate the name and value of a fact about a file; a value quoted from the file is not translated.

    Args:
        name: the English name in the record.
        value: the English value in the record.
        language: one of ``locales.LANGUAGES``.

    Raises:
        UsageError: there are no texts in that language.
    """
    if language == _ENGLISH:
        return name, value
    texts, templates = texts_in(language), _templates()
    values = templates[Part.CUT]
    if known := templates[Part.NAME].match(name):
        values, name = _value_templates_by_family().get(_family(known[0]), values), _filled(*known, texts, _DEEPEST)
    match = values.match(value)
    return name, value if match is None else _filled(*match, texts, _DEEPEST)


@lru_cache(maxsize=4096)
def _translated_cached(text: str, part: Part, language: str) -> str:
    return _translated(text, part, texts_in(language), _DEEPEST)


def _translated(text: str, part: Part, texts: Mapping[str, str], depth: int) -> str:
    if depth == 0:
        return text
    if separator := _SEPARATORS.get(part):
        joint = texts["list_semicolon"] if separator == "; " else separator
        return joint.join(_translated_one(entry, part, texts, depth) for entry in text.split(separator))
    return _translated_one(text, part, texts, depth)


def _translated_one(text: str, part: Part, texts: Mapping[str, str], depth: int) -> str:
    if match := _templates()[part].match(text):
        return _filled(*match, texts, depth)
    sentences = _NEXT_SENTENCE.split(text) if part is Part.SENTENCE else []
    if len(sentences) < 2:
        return text
    return " ".join(_translated(sentence, part, texts, depth - 1) for sentence in sentences)


def _filled(key: str, values: Mapping[str, str], texts: Mapping[str, str], depth: int) -> str:
    shown = {}
    for name, value in values.items():
        kind = _FIELDS.get(name)
        if kind is None:
            shown[name] = localized(value, texts["language"])
        else:
            shown[name] = value if kind.part is None else _translated(value, kind.part, texts, depth - 1)
    return texts[key].format(**shown)


@cache
def _templates() -> Mapping[Part, _Templates]:
    """Return the templates by the kind of text."""
    keys: dict[Part, list[str]] = {part: [] for part in Part}
    for key in texts_in(_ENGLISH):
        word, _, rest = key.partition("_")
        if rest and word in _WORDS:
            keys[_WORDS[word]].append(key)
    return {part: _compiled(of_part) for part, of_part in keys.items()}


@cache
def _value_templates_by_family() -> Mapping[str, _Templates]:
    """Return the templates of values by their family of facts."""
    keys: dict[str, list[str]] = {}
    for key in texts_in(_ENGLISH):
        if key.startswith(f"{Part.VALUE}_"):
            keys.setdefault(_family(key), []).append(key)
    return {family: _compiled(of_family) for family, of_family in keys.items()}


def _family(key: str) -> str:
    """Return the second word of a key, which the name of a fact shares with its possible values."""
    return key.split("_")[1]


def _compiled(keys: Iterable[str]) -> _Templates:
    templates, texts = _Templates(), texts_in(_ENGLISH)
    for key in keys:
        if "{" in texts[key]:
            templates.patterns[key] = re.compile(_pattern(texts[key]), re.DOTALL)
        else:
            templates.plain[texts[key]] = key
    return templates


def _pattern(template: str) -> str:
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if name is not None:
            parts.append(f"(?P<{name}>{_FIELDS[name].pattern if name in _FIELDS else _NUMBER})")
    return "".join(parts)
