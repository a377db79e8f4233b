"""Statements of reports about the file itself, next to the finding of the model."""

import io
from dataclasses import replace

import msgspec
import pytest
from pypdf import PdfReader

from faceloupe.analysis.pipeline import analyze
from faceloupe.config import Settings
from faceloupe.forensics.registry import read_file
from faceloupe.forensics.source import LensSource
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.report.build import build
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.html import render_html
from faceloupe.report.document.pdf import write_pdf
from faceloupe.report.file_claims import disagreement
from faceloupe.report.schema import FileClaim, ProvenanceInfo, Report
from faceloupe.types import Outcome
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.signed import TRAINED, Authority
from tests.report.case_records import Pictures, case, item, run

NASTY = "<script>alert(1)</script> =1+1 {{ 7*7 }}"


def analysis_of(content: bytes, analyzer):
    return analyze(evidence_from_bytes(content, "a.jpg", max_bytes=1 << 24), analyzer, explain=False)


def marked(creator: str) -> bytes:
    packet = files.xmp({"xmp:CreatorTool": creator})
    return files.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet, GENERATED.read_bytes())


@pytest.fixture(scope="module")
def of_marked(analyzer):
    return analysis_of(marked("Adobe Firefly"), analyzer)


def test_a_report_states_credentials_signer_generator_and_findings(analyzer):
    signed, _ = Authority.make().sign(GENERATED.read_bytes(), "image/jpeg", agent="DALL·E", source_type=TRAINED)
    report = Report.from_json(build(analysis_of(signed, analyzer)).to_json())
    assert report.provenance is not None
    assert report.provenance.state == "untrusted"
    assert "Test signer" in (report.provenance.signer or "")
    assert report.provenance.generator == "OpenAI (DALL-E, GPT-4o)"
    assert "provenance.trainedAlgorithmicMedia" in {claim.id for claim in report.provenance.claims}
    assert [lens.id for lens in report.lenses] == ["provenance", "traces", "metadata", "jpeg"]


def test_a_claim_changes_no_score(of_marked, analyzer):
    assert of_marked.score == analysis_of(GENERATED.read_bytes(), analyzer).score


def test_a_file_that_cannot_be_read_states_nothing_and_one_that_cannot_be_decoded_states_what_was_read(analyzer):
    assert build(analysis_of(b"plain text", analyzer)).provenance is None
    half = build(analysis_of(marked("Adobe Firefly")[:3000], analyzer))
    assert half.outcome is Outcome.ERROR
    assert half.provenance is not None
    assert half.provenance.generator == "Adobe Firefly"


def stating(report: Report, outcome: Outcome, state: str, generator: str | None, *claims: str) -> Report:
    listed = tuple(FileClaim(id=claim, severity="info", text="") for claim in claims)
    origin = ProvenanceInfo(state=state, signer="A", generator=generator, claims=listed)
    return msgspec.structs.replace(report, outcome=outcome, provenance=origin)


@pytest.mark.parametrize(
    ("outcome", "origin", "disagrees"),
    [
        (Outcome.AUTHENTIC, ("none", "ComfyUI"), True),
        (Outcome.MANIPULATED, ("none", "ComfyUI"), False),
        (Outcome.INCONCLUSIVE, ("none", "ComfyUI"), False),
        (Outcome.AUTHENTIC, ("none", None), False),
        (Outcome.MANIPULATED, ("trusted", None, "provenance.digitalCapture"), True),
        (Outcome.MANIPULATED, ("untrusted", None, "provenance.digitalCapture"), False),
        (Outcome.AUTHENTIC, ("trusted", None, "provenance.digitalCapture"), False),
    ],
)
def test_file_and_model_disagree_only_if_a_claim_contradicts_a_verdict(of_marked, outcome, origin, disagrees):
    report = stating(build(of_marked), outcome, *origin)
    assert bool(disagreement(report)) is disagrees
    assert bool(disagreement(report, "de")) is disagrees


def test_documents_show_text_of_the_file_and_never_execute_it(analyzer):
    pictures: Pictures = {}
    record = CaseRecord.from_values(
        case([item([run(analysis_of(marked(f"Adobe Firefly {NASTY}"), analyzer), pictures)])])
    )
    for language, heading in (("en", "What the file says about itself"), ("de", "Was die Datei über sich selbst sagt")):
        html = render_html(record, pictures.__getitem__, letterhead=Letterhead("Institute"), language=language)
        assert heading in html
        assert "traces.firefly" in html
        assert "<script>alert" not in html
        assert "{{ 7*7 }}" in html  # as it stands, not 49
        stream = io.BytesIO()
        write_pdf(record, pictures.__getitem__, stream, letterhead=Letterhead("Institute"), language=language)
        assert heading in " ".join(" ".join(page.extract_text().split()) for page in PdfReader(stream).pages)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["formats", "samples"])
def test_the_pdf_states_what_every_public_file_says_about_itself(folder, shared_data, of_marked):
    paths = sorted((shared_data / folder).iterdir())
    pictures: Pictures = {}
    items = []
    for path in paths:  # the pixels of one picture, and what each file states
        file = evidence_from_bytes(path.read_bytes(), path.name, max_bytes=1 << 28)
        analysis = replace(of_marked, lenses=read_file(LensSource(file, settings=Settings())))
        items.append(item([run(analysis, pictures)], sha256=file.evidence.sha256, name=path.name))
    stream = io.BytesIO()
    record = CaseRecord.from_values(case(items))
    write_pdf(record, pictures.__getitem__, stream, letterhead=Letterhead("Institute"), language="en")
    text = " ".join(" ".join(page.extract_text().split()) for page in PdfReader(stream).pages)
    assert text.count("What the file says about itself") == len(paths)


def test_a_report_of_an_older_release_has_no_such_section(runs):
    values = {
        name: value for name, value in runs.named["generated"]["report"].items() if name not in ("provenance", "lenses")
    }
    older = runs.named["generated"] | {"report": values}
    document = CaseDocument(
        CaseRecord.from_values(case([item([older])])), runs.pictures.__getitem__, Letterhead("Institute"), "en"
    )
    assert "What the file says about itself" not in [
        getattr(block, "words", "") for block in document.blocks(most_entries=None)
    ]
