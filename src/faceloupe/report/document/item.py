"""One item of a case as blocks: its identity, the findings of the tool, and the statements of people."""

from collections.abc import Iterator, Sequence

from faceloupe.report.case_schema import DecisionRecord, ItemRecord, NoteRecord, RunRecord, SignOffRecord
from faceloupe.report.document import file_claims, image, video
from faceloupe.report.document.blocks import (
    Block,
    Card,
    Cell,
    Facts,
    Heading,
    Lines,
    Paragraph,
    Ruler,
    Statement,
    Statements,
    Style,
    Table,
    Text,
)
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import (
    Texts,
    code,
    moment,
    number,
    quoted,
    record_cell,
    score_and_thresholds,
    shown,
    shown_lines,
    translated_cell,
    type_text,
    verdict,
    verdict_or_words,
)
from faceloupe.report.document.image import score_text
from faceloupe.report.document.images import Fetch, ImageSet
from faceloupe.report.document.method import lr_bounds
from faceloupe.report.finding import finding_of, strength_text
from faceloupe.report.schema import Report
from faceloupe.report.translation import translated


def blocks(exhibit: Exhibit, fetch: Fetch, texts: Texts) -> Iterator[Block]:
    """Yield the section of one item.

    Raises:
        EvidenceError: a picture does not match its hash in the record.
    """
    item, run = exhibit.item, exhibit.run
    report = run.report if run else None
    title = texts["item_title"].format(number=exhibit.number, name=shown(item.name))
    yield Heading(2, title, exhibit.anchor, new_page=True)
    yield Heading(3, texts["identity"], f"{exhibit.anchor}-identity")
    yield _identity(item, report, texts)
    yield Heading(3, texts["finding"], f"{exhibit.anchor}-finding")
    if run is None or report is None:
        yield Paragraph(Text(texts["withheld_note" if exhibit.withheld else "no_run"]))
    else:
        yield _card(report, texts)
        part = video.blocks if report.is_video else image.blocks
        yield from part(exhibit, report, ImageSet(run.pictures, fetch), texts)
        yield from file_claims.blocks(exhibit, report, texts)
    yield Heading(3, texts["view"], f"{exhibit.anchor}-view")
    changes = [*(decision.utc for decision in item.decisions), *(run.created_utc for run in item.runs)]
    yield from statements(item.notes, item.decisions, item.sign_offs, texts, changes)
    if run is not None:
        yield from _runs(exhibit, run, texts)


def _identity(item: ItemRecord, report: Report | None, texts: Texts) -> Facts:
    rows: list[tuple[str, Cell]] = [
        (texts["name"], Text(shown(item.name))),
        (texts["sha256"], code(item.sha256)),
        (texts["size"], Text(texts["bytes"].format(count=number(texts, item.size_bytes, 0)))),
        (texts["format"], Text(f"{shown(item.format or '-')} ({type_text(item, texts)})")),
    ]
    if report and report.evidence.width:
        width, height = number(texts, report.evidence.width, 0), number(texts, report.evidence.height, 0)
        rows.append((texts["dimensions"], Text(texts["pixels"].format(width=width, height=height))))
    if report and report.evidence.duration_s is not None:
        rows += video.identity(report, texts)
    rows.append(
        (
            texts["taken_in"],
            Text(texts["when_by"].format(when=moment(texts, item.added_utc), who=shown(item.added_by))),
        )
    )
    if report and report.evidence.notes:
        notes = report.evidence.notes
        in_language = " ".join(translated(note, texts["language"]) for note in notes)
        rows.append((texts["decoding_notes"], translated_cell(" ".join(notes), in_language)))
    if report and report.unknown:
        rows.append((texts["unknown_fields"], quoted(", ".join(report.unknown))))
    return Facts(tuple(rows))


def _ruler(report: Report, texts: Texts) -> Ruler | None:
    if report.score is None:
        return None
    thresholds = report.model.thresholds
    score, lower, upper = score_and_thresholds(texts, report.score, thresholds)
    return Ruler(
        report.score,
        thresholds.lower,
        thresholds.upper,
        (score, lower, upper),
        texts["ruler"].format(score=score, lower=lower, upper=upper),
        (texts["zone_lower"], texts["zone_middle"], texts["zone_upper"]),
    )


def _card(report: Report, texts: Texts) -> Card:
    model, finding = report.model, finding_of(report, texts["language"])
    rows: list[tuple[str, Cell]] = []
    if report.score is None:
        rows.append((texts["score"], Text(texts["no_score"])))
    else:
        in_words = " ".join(part for part in (finding.sentence, finding.rests_on) if part)
        rows.append((texts["in_words"], Text(in_words)))
        verbal = report.verbal  # the record states it in English
        if texts["language"] != "en" and report.log10_lr is not None:
            verbal = strength_text(report.log10_lr, texts)
        ratio = texts["lr_verbal"].format(value=number(texts, report.log10_lr, signed=True), words=shown(verbal))
        rows += [(texts["log10_lr"], Text(ratio)), lr_bounds(model, texts)]
        rows.append((texts["error_rates"], Text(finding.error_rates)))
    rows += [(texts["model"], Text(shown(model.id))), (texts["examined"], Text(moment(texts, report.created_utc)))]
    return Card(
        verdict(report.outcome, texts), record_cell(texts, report.reason), _ruler(report, texts), Facts(tuple(rows))
    )


def statements(
    notes: Sequence[NoteRecord],
    decisions: Sequence[DecisionRecord],
    sign_offs: Sequence[SignOffRecord],
    texts: Texts,
    changes: Sequence[str],
) -> Iterator[Block]:
    """Yield the statements of people, in order of time.

    Args:
        notes: notes on the item or the case.
        decisions: decisions on the item.
        sign_offs: signatures under the item or the case.
        texts: fixed texts in the language of the document.
        changes: times of changes; a signature does not cover the later ones.
    """
    statements_made = [
        *((note.utc, _note(note, texts)) for note in notes),
        *((decision.utc, _decision(decision, texts)) for decision in decisions),
        *((sign_off.utc, _sign_off(sign_off, changes, texts)) for sign_off in sign_offs),
    ]
    if statements_made:
        yield Statements(tuple(statement for _, statement in sorted(statements_made, key=lambda entry: entry[0])))
    else:
        yield Paragraph(Text(texts["no_view"], Style.FAINT))


def _note(note: NoteRecord, texts: Texts) -> Statement:
    return Statement(texts["note"], shown(note.author), moment(texts, note.utc), Facts(()), shown_lines(note.text))


def _sign_off(sign_off: SignOffRecord, changes: Sequence[str], texts: Texts) -> Statement:
    since = sum(utc > sign_off.utc for utc in changes)
    rows: list[tuple[str, Cell]] = [(texts["since_then"], Text(number(texts, since, 0)))] if since else []
    if sign_off.open_items:
        rows.append((texts["open_items"], Text(number(texts, sign_off.open_items, 0))))
    rows += _name_checked(sign_off, texts)
    who, when = shown(sign_off.reviewer), moment(texts, sign_off.utc)
    return Statement(texts["sign_off"], who, when, Facts(tuple(rows)), shown_lines(sign_off.open_reason or ""))


def _decision(decision: DecisionRecord, texts: Texts) -> Statement:
    rows = (
        (texts["decided"], verdict_or_words(decision.outcome, texts)),
        (texts["confidence"], Text(_confidence(decision.confidence, texts))),
        (texts["seen_before"], Text(texts["yes" if decision.score_seen_before else "no"])),
        *_name_checked(decision, texts),
    )
    who, when = shown(decision.examiner), moment(texts, decision.utc)
    return Statement(texts["by_examiner"], who, when, Facts(rows), shown_lines(decision.reason))


def _name_checked(statement: DecisionRecord | SignOffRecord, texts: Texts) -> list[tuple[str, Cell]]:
    return [(texts["name_check"], Text(texts["name_checked"]))] if statement.name_checked is True else []


def _confidence(confidence: str | None, texts: Texts) -> str:
    return texts.get(f"confidence_{confidence}", shown(confidence or texts["none"]))


def _of_run(report: Report, texts: Texts) -> Cell:
    """Return the outcome of a run and, for a segment of a video, its start and end."""
    outcome = verdict(report.outcome, texts)
    if report.segment is None:
        return outcome
    first, last = number(texts, report.segment.start_s), number(texts, report.segment.end_s)
    return Lines((outcome, Text(texts["run_part"].format(first=first, last=last), Style.FAINT)))


def _runs(exhibit: Exhibit, shown_run: RunRecord, texts: Texts) -> Iterator[Block]:
    yield Heading(3, texts["runs"], f"{exhibit.anchor}-runs")
    yield Table(
        texts["runs"],
        tuple(texts[key] for key in ("run", "when_by_whom", "outcome", "score", "report_sha256")),
        tuple(
            (
                code(run.id),
                Text(f"{moment(texts, run.created_utc)}\n{shown(run.actor)}"),
                _of_run(run.report, texts),
                Text(score_text(texts, run.report.score, run.report.model.thresholds), Style.NUMBER),
                code(run.report_sha256),
            )
            for run in exhibit.item.runs
        ),
        (24, 40, 32, 14, 64),
    )
    if len(exhibit.item.runs) > 1:
        key = "later_run" if shown_run.report.segment is None else "later_part"
        yield Paragraph(Text(texts[key].format(run=shown(shown_run.id)), Style.FAINT))
    if pictures := shown_run.pictures:
        yield Heading(3, texts["pictures"], f"{exhibit.anchor}-pictures")
        yield Table(
            texts["pictures"],
            (texts["file"], texts["sha256"]),
            tuple((Text(shown(name)), code(digest)) for name, digest in pictures.items()),
            (50, 124),
        )
