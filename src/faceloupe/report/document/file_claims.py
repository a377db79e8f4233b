"""The claims of a file about itself, as blocks."""

from collections.abc import Iterator

from faceloupe.report.document.blocks import Block, Facts, Heading, Paragraph, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import (
    Texts,
    code,
    number,
    quoted,
    record_cell,
    record_text,
    shown,
    translated_cell,
)
from faceloupe.report.file_claims import disagreement
from faceloupe.report.schema import FileFact, Report
from faceloupe.report.translation import Part, translated_fact

_MOST_FACTS = 40  # shown for one lens: metadata can have hundreds, which are all in the record


def blocks(exhibit: Exhibit, report: Report, texts: Texts) -> Iterator[Block]:
    """Yield the origin, findings and facts of the file; nothing if the report does not state them."""
    origin = report.provenance
    if origin is None:
        return
    yield Heading(3, texts["file_claims"], f"{exhibit.anchor}-file")
    if sentence := disagreement(report, texts["language"]):
        yield Paragraph(Text(shown(sentence), Style.STRONG))
    yield Facts(
        (
            (texts["credentials"], Text(texts.get(f"credentials_{origin.state}", shown(origin.state)))),
            (texts["signer"], quoted(origin.signer or texts["none"])),
            (texts["generator"], record_cell(texts, origin.generator or texts["none"], Part.PROGRAM)),
        )
    )
    yield Paragraph(Text(texts["file_claims_note"], Style.FAINT))
    if origin.claims:
        yield Table(
            texts["file_findings"],
            (texts["rule"], texts["finding"]),
            tuple((code(claim.id), record_cell(texts, claim.text)) for claim in origin.claims),
            (50, 124),
        )
    for lens in report.lenses:
        title = record_text(texts, lens.title, Part.LENS)
        if lens.problem:
            problem = texts["file_problem"].format(title=title, problem=record_text(texts, lens.problem))
            yield Paragraph(translated_cell(f"{lens.title}: {lens.problem}", problem))
        if lens.facts:
            yield Table(
                texts["file_facts"].format(title=title),
                (title, texts["value"]),
                tuple(_fact(fact, texts) for fact in lens.facts[:_MOST_FACTS]),
                (60, 114),
            )
        if (left := len(lens.facts) - _MOST_FACTS) > 0:
            yield Paragraph(Text(texts["file_facts_left"].format(count=number(texts, left, 0)), Style.FAINT))


def _fact(fact: FileFact, texts: Texts) -> tuple[Text, Text]:
    name, value = translated_fact(fact.name, fact.value, texts["language"])
    return translated_cell(fact.name, name), translated_cell(fact.value, value)
