"""What the file says about itself, as blocks."""

from collections.abc import Iterator

from faceloupe.report.document.blocks import Block, Facts, Heading, Paragraph, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit
from faceloupe.report.document.format import Texts, code, number, quoted, shown
from faceloupe.report.file_claims import disagreement
from faceloupe.report.schema import Report

_MOST_FACTS = 40  # of one lens: metadata can have hundreds, and the record holds them all


def blocks(exhibit: Exhibit, report: Report, texts: Texts) -> Iterator[Block]:
    """Yield origin, findings and facts of the file; nothing where the report does not state them."""
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
            (texts["generator"], quoted(origin.generator or texts["none"])),
        )
    )
    yield Paragraph(Text(texts["file_claims_note"], Style.FAINT))
    if origin.claims:
        yield Table(
            texts["file_findings"],
            (texts["rule"], texts["finding"]),
            tuple((code(claim.id), quoted(claim.text)) for claim in origin.claims),
            (50, 124),
        )
    for lens in report.lenses:
        if lens.problem:
            yield Paragraph(quoted(f"{lens.title}: {lens.problem}"))
        if lens.facts:
            yield Table(
                texts["file_facts"].format(title=shown(lens.title)),
                (shown(lens.title), texts["value"]),
                tuple((quoted(fact.name), quoted(fact.value)) for fact in lens.facts[:_MOST_FACTS]),
                (60, 114),
            )
        if (left := len(lens.facts) - _MOST_FACTS) > 0:
            yield Paragraph(Text(texts["file_facts_left"].format(count=number(texts, left, 0)), Style.FAINT))
