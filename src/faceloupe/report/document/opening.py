"""The first pages of a case report: question, findings, conclusion, limits, and lines for signatures."""

from collections import Counter
from collections.abc import Iterator, Sequence

from faceloupe.report.case_schema import CaseRecord, DecisionRecord, SignOffRecord
from faceloupe.report.document.blocks import (
    Block,
    Bullets,
    Cell,
    Facts,
    Heading,
    Lines,
    Link,
    Paragraph,
    Style,
    Table,
    Text,
)
from faceloupe.report.document.exhibits import Exhibit, items_text
from faceloupe.report.document.format import (
    Texts,
    code,
    moment,
    number,
    runs_of,
    shown,
    shown_lines,
    verdict,
    verdict_or_words,
)
from faceloupe.report.finding import finding_of, model_rates
from faceloupe.types import Outcome

_MOST_LISTED = 8  # items whose findings fit on the first two pages; more items are counted and listed in the appendix


def blocks(case: CaseRecord, items: Sequence[Exhibit], texts: Texts) -> Iterator[Block]:
    """Yield the blocks of the first pages."""
    yield Heading(1, texts["title"], "title")
    yield _about(case, texts)
    yield Heading(2, texts["question"], "question")
    yield Paragraph(Text(texts["question_text"]))
    yield Heading(2, texts["findings"], "findings")
    yield from _findings(items, texts)
    yield Heading(2, texts["conclusion"], "conclusion")
    yield from _conclusion(items, texts)
    yield Heading(2, texts["method_short"], "method-short")
    yield Paragraph(Text(texts["method_plain"]))
    yield Heading(2, texts["limits"], "limits")
    yield Bullets(tuple(Text(line) for line in _limits(case, items, texts)))
    yield Heading(2, texts["signatures"], "signatures")
    yield _signatures(case, items, texts)


def _about(case: CaseRecord, texts: Texts) -> Facts:
    about, tool = case.case, case.tool
    commit = shown(tool.git_commit or texts["no_commit"])
    software = texts["tool_line"].format(name=shown(tool.name), version=shown(tool.version), commit=commit)
    if tool.modified:
        software += f", {texts['modified']}"
    return Facts(
        (
            (texts["case"], Text("\n".join(shown_lines(about.name)), Style.STRONG)),
            (texts["case_id"], code(about.id)),
            (texts["examiner"], Text(shown(about.examiner or texts["none"]))),
            (texts["case_opened"], Text(moment(texts, about.created_utc))),
            (texts["report_created"], Text(moment(texts, case.created_utc))),
            (texts["blind"], Text(texts["blind_on" if about.blind else "blind_off"])),
            (texts["tool"], Text(software)),
        )
    )


def _findings(items: Sequence[Exhibit], texts: Texts) -> Iterator[Block]:
    if not items:
        yield Paragraph(Text(texts["no_items"]))
        return
    yield Paragraph(Text(texts["findings_note"]))
    if len(items) > _MOST_LISTED:
        yield _counts(items, texts)
        return
    rows = tuple((Link(str(item.number), item.anchor), _item(item, texts), _decision(item, texts)) for item in items)
    heads = tuple(texts[key] for key in ("item", "finding", "decision"))
    yield Table(texts["findings"], heads, rows, (14, 112, 38))


def _item(item: Exhibit, texts: Texts) -> Cell:
    name = Text(shown(item.item.name), Style.STRONG)
    if item.report is None:
        return Lines((name, Text(texts["withheld" if item.withheld else "not_examined"], Style.FAINT)))
    finding = finding_of(item.report, texts["language"])
    sentences = " ".join(part for part in (finding.sentence, finding.rests_on) if part)
    lines = (name, verdict(item.report.outcome, texts), *((Text(sentences),) if sentences else ()))
    return Lines(lines)


def _decision(item: Exhibit, texts: Texts) -> Cell:
    decisions = item.item.decisions
    if not decisions:
        return Text(texts["not_decided"], Style.FAINT)
    last = decisions[-1]
    lines = [texts["departs"]] if _departs(item) else []
    lines.append(shown(last.examiner))
    if (signed := _signed_before(item)) is not None:
        lines.append(texts["signed_earlier"].format(who=shown(signed.reviewer)))
    for sign_off in _sign_offs(item):
        earlier = item.run is not None and item.run.created_utc > sign_off.utc
        lines.append(texts["signed_before" if earlier else "signed_by"].format(who=shown(sign_off.reviewer)))
    return Lines((verdict_or_words(last.outcome, texts), *(Text(line, Style.FAINT) for line in lines)))


def _departs(item: Exhibit) -> bool:
    """Return whether the last decision differs from the outcome of the tool."""
    decisions = item.item.decisions
    return bool(decisions) and item.report is not None and decisions[-1].outcome != item.report.outcome


def _sign_offs(item: Exhibit) -> list[SignOffRecord]:
    """Return the last signature of each reviewer that covers the last decision on an item."""
    decisions = item.item.decisions
    since = decisions[-1].utc if decisions else ""
    return list({sign_off.reviewer: sign_off for sign_off in item.item.sign_offs if sign_off.utc >= since}.values())


def _signed_before(item: Exhibit) -> SignOffRecord | None:
    """Return the last signature that covers only an earlier decision on an item; None if there is none."""
    decisions = item.item.decisions
    since = decisions[-1].utc if decisions else ""
    return next((sign_off for sign_off in reversed(item.item.sign_offs) if sign_off.utc < since), None)


def _counts(items: Sequence[Exhibit], texts: Texts) -> Table:
    """Count the items by the outcome of the tool and by the last decision."""
    tool = Counter(item.report.outcome for item in items if item.report)
    people = Counter(item.item.decisions[-1].outcome for item in items if item.item.decisions)
    rows: list[tuple[Cell, ...]] = [
        (verdict(outcome, texts), _count(tool[outcome], texts), _count(people[outcome], texts)) for outcome in Outcome
    ]
    open_tool, open_people = len(items) - tool.total(), len(items) - people.total()
    rows.append((Text(texts["neither_yet"], Style.FAINT), _count(open_tool, texts), _count(open_people, texts)))
    heads = (texts["outcome"], texts["tool_outcome"], texts["decision"])
    return Table(texts["findings"], heads, tuple(rows), (60, 50, 50))


def _count(count: int, texts: Texts) -> Text:
    return Text(number(texts, count, 0), Style.NUMBER)


def _conclusion(items: Sequence[Exhibit], texts: Texts) -> Iterator[Block]:
    decided = Counter(item.item.decisions[-1].outcome for item in items if item.item.decisions)
    if not decided:
        yield Paragraph(Text(texts["no_conclusion"], Style.STRONG))
        return
    names = {outcome.value: texts[f"outcome_{outcome}"] for outcome in Outcome}
    parts = "; ".join(
        texts["counted_outcome"].format(outcome=names.get(outcome, shown(outcome)), count=number(texts, n, 0))
        for outcome, n in decided.items()
    )
    total, count = number(texts, len(items), 0), number(texts, decided.total(), 0)
    yield Paragraph(Text(texts["conclusion_text"].format(decided=count, total=total, outcomes=parts), Style.STRONG))
    if departed := sum(_departs(item) for item in items):
        yield Paragraph(Text(texts["departed"].format(count=number(texts, departed, 0))))
    if changed := [item.number for item in items if _signed_before(item) and not _sign_offs(item)]:
        yield Paragraph(Text(texts["changed_after_signature"].format(items=items_text(changed, texts)), Style.STRONG))
    yield Paragraph(Text(texts["conclusion_note"], Style.FAINT))


def _limits(case: CaseRecord, items: Sequence[Exhibit], texts: Texts) -> Iterator[str]:
    yield texts["reading_score"]
    reports = [item.report for item in items if item.report is not None and item.report.score is not None]
    yield from dict.fromkeys(model_rates(report, texts) for report in reports)
    if any(report.is_video for report in reports):
        yield texts["rates_video"]
    yield texts["limits_more"]
    yield names_text(case, items, texts)
    yield texts["log_verified" if case.log.verified else "log_broken"]


def names_text(case: CaseRecord, items: Sequence[Exhibit], texts: Texts) -> str:
    """Return a sentence that states whether the names at decisions and signatures were checked."""
    statements: list[DecisionRecord | SignOffRecord] = [*case.sign_offs]
    for item in items:
        statements += [*item.item.decisions, *item.item.sign_offs]
    checked = bool(statements) and all(statement.name_checked is True for statement in statements)
    return texts["names_checked" if checked else "names_unchecked"]


def _signatures(case: CaseRecord, items: Sequence[Exhibit], texts: Texts) -> Table:
    """Return rows to sign by hand: for the examiners, and for the reviewers of the case or of the items' decisions."""
    decisions = [decision for item in items for decision in item.item.decisions]
    examiners = dict.fromkeys(
        name for name in (case.case.examiner, *(decision.examiner for decision in decisions)) if name
    )
    people = [(texts["examiner"], name) for name in examiners or [""]]
    people += [(texts["reviewer_of_case"], name) for name in dict.fromkeys(sign.reviewer for sign in case.sign_offs)]
    signed: dict[str, list[int]] = {}
    for item in items:
        for sign_off in _sign_offs(item):
            signed.setdefault(sign_off.reviewer, []).append(item.number)
    people += [(texts["reviewer_of"].format(items=runs_of(numbers)), name) for name, numbers in signed.items()]
    if not case.sign_offs and not signed:
        people.append((texts["reviewer"], ""))
    room = Text("\n\n")  # space for handwriting
    rows = tuple((Text(role), Text(shown(name)), room, room) for role, name in people)
    heads = tuple(texts[key] for key in ("role", "person_name", "date", "signature"))
    return Table(texts["signatures"], heads, rows, (44, 42, 28, 60))
