"""The parts of a case report about the case as a whole, as blocks in reading order.

All content is taken from the case record, except the fixed texts, which come from ``locales``.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from faceloupe.errors import UsageError
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document import item as case_item
from faceloupe.report.document import method, opening
from faceloupe.report.document.blocks import (
    Block,
    Bullets,
    Cell,
    Heading,
    Lines,
    Link,
    Paragraph,
    Style,
    Table,
    Text,
)
from faceloupe.report.document.exhibits import Exhibit, exhibits, grouped
from faceloupe.report.document.format import (
    Texts,
    code,
    moment,
    number,
    record_text,
    score_and_thresholds,
    shown,
    type_text,
    verdict,
    verdict_or_words,
)
from faceloupe.report.document.images import Fetch
from faceloupe.report.document.locales import texts_in
from faceloupe.report.translation import Part
from faceloupe.scoring.verbal import VERBAL_SCALE
from faceloupe.types import Outcome


@dataclass(frozen=True, slots=True)
class Letterhead:
    """The issuer of a report.

    Attributes:
        organization: name of the issuer.
        address_lines: lines below the name.
        logo_png: PNG beside the name; None for no logo.
    """

    organization: str
    address_lines: tuple[str, ...] = ()
    logo_png: bytes | None = None

    def __post_init__(self) -> None:
        """Check the logo.

        Raises:
            UsageError: the logo is not a readable PNG.
        """
        if self.logo_png is None:
            return
        try:
            Image.open(io.BytesIO(self.logo_png), formats=["PNG"]).verify()
        except (OSError, SyntaxError, ValueError) as problem:
            raise UsageError("The logo of a letterhead must be a readable PNG.") from problem


class CaseDocument:
    """A case record prepared for drawing.

    Attributes:
        language: code of the language.
        texts: the fixed texts in that language.
        case_name, case_id: name and id of the case, ready to be shown.
        created_utc: time of the record, ready to be shown.
        created: time of the record in the notation of the language.
        head: hash of the last log entry, ready to be shown.
        organization, address_lines: text of the letterhead, ready to be shown.
        tool: name and version of the tool that made the record.
        items: number of items.
    """

    def __init__(self, case: CaseRecord, picture: Fetch, letterhead: Letterhead, language: str) -> None:
        """Collect the values that the document shows.

        Raises:
            UsageError: there are no fixed texts in that language.
        """
        self.language, self.texts = language, texts_in(language)
        self._case, self._picture = case, picture
        self._exhibits = exhibits(case)
        self.case_name, self.case_id = shown(case.case.name), shown(case.case.id)
        self.created_utc, self.created = shown(case.created_utc), moment(self.texts, case.created_utc)
        self.head = shown(case.log.head_sha256 or self.texts["none"])
        self.organization = shown(letterhead.organization)
        self.address_lines = tuple(shown(line) for line in letterhead.address_lines)
        self.tool = shown(f"{case.tool.name} {case.tool.version}")
        self.items = len(self._exhibits)

    def blocks(self, *, most_entries: int | None) -> Iterator[Block]:
        """Yield all blocks one after the other; the pictures of an item are fetched when it is reached.

        The main part comes first, on two pages for a case with a few items; the rest is the appendix.

        Args:
            most_entries: greatest number of log entries to show; None for all, 0 for none.

        Raises:
            EvidenceError: a picture does not match its hash in the record.
        """
        yield from self.opening_blocks()
        yield from self.item_blocks(0, self.items)
        yield from self.closing_blocks(most_entries=most_entries)

    def opening_blocks(self) -> Iterator[Block]:
        """Yield the blocks before the first item."""
        case, texts = self._case, self.texts
        yield from opening.blocks(case, self._exhibits, texts)
        yield Heading(2, texts["appendix"], "appendix", new_page=True)
        yield Paragraph(Text(f"{texts['contents_note']} {texts['language_note']}", Style.FAINT))
        yield from _summary(self._exhibits, texts)
        yield from _reading(self._exhibits, texts)

    def item_blocks(self, first: int, end: int) -> Iterator[Block]:
        """Yield the blocks of the items from ``first`` up to but not including ``end``; both count from 0.

        Raises:
            EvidenceError: a picture does not match its hash in the record.
        """
        for exhibit in self._exhibits[first:end]:
            yield from case_item.blocks(exhibit, self._picture, self.texts)

    def closing_blocks(self, *, most_entries: int | None) -> Iterator[Block]:
        """Yield the blocks after the last item; see ``blocks``."""
        case, texts = self._case, self.texts
        yield Heading(2, texts["case_view"], "case-view", new_page=bool(self._exhibits))
        yield Paragraph(Text(opening.names_text(case, self._exhibits, texts), Style.FAINT))
        decisions = [decision.utc for item in case.items for decision in item.decisions]
        changes = [*decisions, *(item.added_utc for item in case.items)]
        yield from case_item.statements(case.notes, (), case.sign_offs, texts, changes)
        yield from method.method(self._exhibits, texts)
        yield from method.scope(self._exhibits, texts)
        yield from method.log(case.log, self._exhibits, texts, most_entries)


def _summary(items: Sequence[Exhibit], texts: Mapping[str, str]) -> Iterator[Block]:
    yield Heading(2, texts["summary"], "summary")
    if not items:
        yield Paragraph(Text(texts["no_items"]))
        return
    rows = []
    for exhibit in items:
        decisions = exhibit.item.decisions
        rows.append(
            (
                Link(str(exhibit.number), exhibit.anchor),
                Lines((Text(shown(exhibit.item.name)), code(exhibit.item.sha256))),
                Text(type_text(exhibit.item, texts)),
                *_outcome_and_score(exhibit, texts),
                verdict_or_words(decisions[-1].outcome, texts)
                if decisions
                else Text(texts["not_decided"], Style.FAINT),
            )
        )
    yield Table(
        texts["summary"],
        tuple(texts[key] for key in ("item", "name_and_hash", "type", "tool_outcome", "score", "decision")),
        tuple(rows),
        (12, 62, 19, 32, 13, 32),
        tuple(exhibit.anchor for exhibit in items),
    )


def _outcome_and_score(exhibit: Exhibit, texts: Mapping[str, str]) -> tuple[Cell, Cell]:
    if exhibit.report is None:
        return Text(texts["withheld" if exhibit.withheld else "not_examined"], Style.FAINT), Text("-", Style.NUMBER)
    score = exhibit.report.score
    text = "-" if score is None else score_and_thresholds(texts, score, exhibit.report.model.thresholds)[0]
    return verdict(exhibit.report.outcome, texts), Text(text, Style.NUMBER)


def _log10_text(log10_lr: float | None, texts: Texts) -> str | None:
    return None if log10_lr is None else number(texts, log10_lr, 1)


def _ratio_text(log10_lr: float | None, texts: Texts) -> str | None:
    return None if log10_lr is None else number(texts, 10.0**log10_lr, 0)


def _span(low: str | None, high: str | None, texts: Mapping[str, str]) -> Text:
    if low is None:
        return Text(texts["below"].format(value=high))
    if high is None:
        return Text(texts["above"].format(value=low))
    return Text(texts["from_to"].format(low=low, high=high))


def _reading(items: Sequence[Exhibit], texts: Mapping[str, str]) -> Iterator[Block]:
    yield Heading(2, texts["reading"], "reading")
    propositions = grouped((exhibit.number, exhibit.report.propositions) for exhibit in items if exhibit.report)
    if propositions:
        first = propositions[0][0]
        yield Paragraph(Text(texts["propositions"]))
        yield Bullets(
            (
                Text(texts["first_proposition"].format(text=record_text(texts, first.manipulated))),
                Text(texts["second_proposition"].format(text=record_text(texts, first.authentic))),
            )
        )
        for proposition, _ in propositions:
            yield Paragraph(Text(texts["kinds"].format(text=record_text(texts, proposition.kinds, Part.KINDS))))
    yield Paragraph(Text(texts["reading_score"]))
    yield Paragraph(Text(texts["reading_lr"]))
    if any(face.propositions for exhibit in items if exhibit.report for face in exhibit.report.faces):
        yield Paragraph(Text(texts["reading_kinds"]))
    yield Paragraph(Text(texts["reading_logit"]))
    yield Heading(3, texts["verbal_scale"], "verbal-scale")
    yield Table(
        texts["verbal_scale"],
        (texts["verbal_log"], texts["verbal_lr"], texts["verbal_words"]),
        tuple(
            (
                _span(_log10_text(step.above, texts), _log10_text(step.up_to, texts), texts),
                _span(_ratio_text(step.above, texts), _ratio_text(step.up_to, texts), texts),
                Text(texts[f"support_{step.key}"]),
            )
            for step in VERBAL_SCALE
        ),
        (30, 30, 60),
    )
    yield Paragraph(Text(texts["verbal_source"], Style.FAINT))
    yield Heading(3, texts["outcomes"], "outcomes")
    yield Table(
        texts["outcomes"],
        (texts["outcome"], texts["meaning"]),
        tuple((verdict(outcome, texts), Text(texts[f"means_{outcome}"])) for outcome in Outcome),
        (30, 120),
    )
    yield Paragraph(Text(texts["reading_views"]))
