"""Numbers, names and times of a record, formatted for a document."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from faceloupe.media.evidence_file import printable_name
from faceloupe.report.case_schema import ItemRecord
from faceloupe.report.document.blocks import Cell, Style, Text, Verdict
from faceloupe.report.numerals import decimal, localized
from faceloupe.report.schema import Face, ScoreThresholds
from faceloupe.report.translation import Part, translated
from faceloupe.types import Outcome, format_distinct

Texts = Mapping[str, str]
NONE = "-"


def shown(text: object) -> str:
    """Return untrusted text for one line of a document: control and direction marks become U+FFFD."""
    return printable_name(str(text))


def shown_lines(text: object) -> tuple[str, ...]:
    """Return the lines of untrusted text; see ``shown``."""
    return tuple(shown(line.replace("\t", "    ")) for line in str(text).splitlines())


def code(text: object) -> Text:
    """Return a cell with a hash, an id or a path; a dash for None."""
    return Text(NONE) if text is None else Text(shown(text), Style.CODE)


def quoted(text: object) -> Text:
    """Return a cell with a sentence of the record, verbatim."""
    return Text(shown(text), Style.RECORD)


def record_cell(texts: Texts, stated: str, part: Part = Part.SENTENCE) -> Text:
    """Return a cell with a text of the record in the language of ``texts``; verbatim if it has no translation."""
    return translated_cell(stated, translated(stated, texts["language"], part))


def translated_cell(stated: str, translation: str) -> Text:
    """Return a cell with a translated text of the record; verbatim if both texts are the same."""
    cell = Text(shown(translation))
    return quoted(stated) if cell.text == shown(stated) else cell


def record_text(texts: Texts, stated: str, part: Part = Part.SENTENCE) -> str:
    """Return the text of ``record_cell`` as a string, for use inside another text."""
    return shown(translated(stated, texts["language"], part))


def number(texts: Texts, value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Return a number in the notation of the language of ``texts``; a dash for None."""
    return NONE if value is None else decimal(value, decimals, texts["language"], signed=signed)


def pose_rows(texts: Texts, face: Face) -> list[tuple[str, Cell]]:
    """Return the row about roll and yaw of a face; no row if the report does not state them."""
    if face.roll_deg is None or face.yaw_deg is None:
        return []
    angles = (number(texts, angle, 0, signed=True) for angle in (face.roll_deg, face.yaw_deg))
    return [(texts["pose"], Text(texts["pose_angles"].format(**dict(zip(("roll", "yaw"), angles, strict=True)))))]


def proposition_rows(texts: Texts, face: Face) -> list[tuple[str, Cell]]:
    """Return a row for each kind of manipulation for which networks of the model give a log10 LR."""
    return [
        (texts[f"ratio_{part.name}"], Text(number(texts, part.log10_lr, signed=True)))
        for part in face.propositions
        if f"ratio_{part.name}" in texts
    ]


def number_cell(texts: Texts, value: float | None, decimals: int = 2, *, signed: bool = False) -> Text:
    """Return a number as a right-aligned cell."""
    return Text(number(texts, value, decimals, signed=signed), Style.NUMBER)


def score_and_thresholds(texts: Texts, score: float, thresholds: ScoreThresholds) -> tuple[str, str, str]:
    """Return a score and both thresholds with just enough decimals to show on which side of each the score lies."""
    score_text, lower, upper = (
        localized(text, texts["language"]) for text in format_distinct(score, thresholds.lower, thresholds.upper)
    )
    return score_text, lower, upper


def moment(texts: Texts, utc: str) -> str:
    """Return a time of the record to the second in the notation of the language; an invalid time is shown verbatim."""
    try:
        return datetime.fromisoformat(utc).strftime(texts["time_format"])
    except ValueError:
        return shown(utc)


def verdict(outcome: str, texts: Mapping[str, str]) -> Verdict:
    """Return an outcome of the record as a shape and a word."""
    known = Outcome(outcome)
    return Verdict(known, texts[f"outcome_{known}"])


def verdict_or_words(outcome: str, texts: Mapping[str, str]) -> Verdict | Text:
    """Return the outcome that a person decided on; an unknown outcome is shown verbatim."""
    return verdict(outcome, texts) if outcome in set(Outcome) else Text(shown(outcome))


def type_text(item: ItemRecord, texts: Mapping[str, str]) -> str:
    """Return the type of an item: image, video, or unknown if the format of the file was not recognized."""
    known = item.format is not None and item.media_type in ("image", "video")
    return texts[f"type_{item.media_type}" if known else "type_unknown"]


def runs_of(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text, with consecutive numbers as ranges: 1-3, 5."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield names and values of settings, numbers in full; nested settings are prefixed with the name of their part."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(shown(entry) for entry in value)
        else:
            yield f"{prefix}{name}", NONE if value is None else shown(value)
