"""Claims about case reports as PDF, read back with another library."""

import io
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont
from pypdf import PdfReader

from faceloupe.errors import UsageError
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.pdf import MOST_ENTRIES, write_pdf
from tests.report.case_records import NAME, case, chain, decision, item, note, sign_off

LETTERHEAD = Letterhead("Institute of Pictures", ("1 Long Street", "Springfield"))
MAY_BREAK = "\u200b"
RIGHT = (18 + 174) * 72 / 25.4  # end of the text, points


def drawn(record, pictures, **options) -> bytes:
    stream = io.BytesIO()
    letterhead = options.pop("letterhead", LETTERHEAD)
    write_pdf(CaseRecord.from_values(record), pictures.__getitem__, stream, letterhead=letterhead, **options)
    return stream.getvalue()


def texts(content: bytes) -> list[str]:
    pages = PdfReader(io.BytesIO(content)).pages
    return [" ".join(page.extract_text().replace(MAY_BREAK, "").split()) for page in pages]


@pytest.fixture(scope="module")
def record(runs):
    return case(
        [
            item(
                [runs.named["generated"]],
                notes=[note("Copied from a phone.")],
                decisions=[decision("manipulated", "Pupils.")],
            ),
            item([runs.named["clip"]], sign_offs=[sign_off()]),
            item([runs.named["pair"]]),
            item([runs.named["broken"]]),
        ]
    )


@pytest.fixture(scope="module")
def content(record, runs):
    return drawn(record, runs.pictures)


def test_every_page_names_the_case_the_organization_its_number_and_the_log(record, content):
    pages = texts(content)
    created = record["created_utc"].replace("T", " ").removesuffix("Z")
    assert len(pages) > 8
    for number, text in enumerate(pages, 1):
        assert f"{NAME}, {record['case']['id']}" in text
        assert "Institute of Pictures" in text
        assert f"Page {number} of {len(pages)}" in text
        assert record["log"]["head_sha256"] in text
        assert f"created {created} UTC" in text


def test_the_table_of_evidence_gives_the_pages_on_which_the_items_start(record, content):
    pages = texts(content)
    begins = [
        next(n for n, text in enumerate(pages, 1) if f"Item {k}: {entry['name']}" in text)
        for k, entry in enumerate(record["items"], 1)
    ]
    reader = PdfReader(io.BytesIO(content))
    titles = {
        entry.title: reader.get_destination_page_number(entry) + 1
        for entry in reader.outline
        if not isinstance(entry, list)
    }
    assert [titles[f"Item {k}: {entry['name']}"] for k, entry in enumerate(record["items"], 1)] == begins
    summary = next(page for page, text in zip(reader.pages, pages, strict=True) if "Summary of the evidence" in text)
    links = [note.get_object() for note in summary["/Annots"]]
    numbers = sorted(reader.get_destination_page_number(reader.named_destinations[link["/Dest"]]) + 1 for link in links)
    assert numbers == sorted(2 * begins)  # of the number of the item, and of its page


def test_scores_reasons_and_hashes_of_the_record_are_in_the_text(record, content):
    text = " ".join(texts(content))
    solid = text.replace(" ", "")
    for entry in record["items"]:
        report = entry["runs"][-1]["report"]
        assert entry["sha256"] in solid
        assert report["reason"].replace(" ", "") in solid
        for result in [report, *report["faces"]]:
            if result["score"] is not None:
                assert f"{result['score']:.2f}" in text
                assert f"{result['log10_lr']:+.2f}" in text
    assert "Copied from a phone." in text
    assert "Pupils." in text


def test_title_language_and_date_are_those_of_the_record(record, content):
    reader = PdfReader(io.BytesIO(content))
    assert reader.metadata.title == f"Report on the examination of faces: {NAME}"
    assert reader.metadata.author == "Institute of Pictures"
    assert reader.metadata.creation_date.strftime("%Y-%m-%dT%H:%M:%SZ") == record["created_utc"]
    assert reader.trailer["/Root"]["/Lang"] == "en"


def test_the_date_has_no_fractions_of_a_second_which_viewers_do_not_read(runs):
    record = case([item([runs.named["faceless"]])]) | {"created_utc": "2026-11-29T09:37:40.950494Z"}
    reader = PdfReader(io.BytesIO(drawn(record, runs.pictures)))
    assert reader.trailer["/Info"]["/CreationDate"] == "D:20261129093740Z"


def test_every_font_is_embedded(content):
    fonts = [
        font.get_object()
        for page in PdfReader(io.BytesIO(content)).pages
        for font in page["/Resources"]["/Font"].values()
    ]
    descriptors = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts]
    assert descriptors
    assert all("/FontFile2" in descriptor or "/FontFile3" in descriptor for descriptor in descriptors)


def test_it_states_pdf_ua_1_and_pdf_a_3a_and_its_tags_name_headings_tables_and_pictures(content):
    reader = PdfReader(io.BytesIO(content))
    root = reader.trailer["/Root"]
    stated = root["/Metadata"].get_data().decode()
    for name, value in (("pdfuaid:part", "1"), ("pdfaid:part", "3"), ("pdfaid:conformance", "A")):
        assert f"<{name}>{value}</{name}>" in stated
    assert root["/MarkInfo"]["/Marked"]
    tags: Counter[str] = Counter()
    pictures: list[str] = []
    waiting = [root["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop().get_object()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            tags[node.get("/S", "")] += 1
            if node.get("/S") == "/Figure":
                pictures.append(node.get("/Alt", ""))
            waiting += [node["/K"]] if "/K" in node else []
    assert tags["/H1"] == 1
    assert min(tags[name] for name in ("/H2", "/H3", "/P", "/Table", "/TH", "/TD", "/L")) > 0
    assert pictures
    assert all(pictures)


def test_names_in_any_common_script_can_be_read_back():
    for name in ("證據 写真 증거", "Ωμέγα Привет", "Türkçe Łódź Việt"):
        record = case([item([])], log=chain([]))
        record["case"] |= {"name": name}
        assert name.replace(" ", "") in texts(drawn(record, {}))[0].replace(" ", "")


def test_the_same_record_gives_the_same_bytes(record, content, runs):
    assert drawn(record, runs.pictures) == content


FONTS = {
    name: TTFont(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")
    for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif")
}


def width(text: str, name: str, size: float) -> float:
    """Width of a text, points."""
    font = FONTS[name]
    glyphs = (font.getBestCmap().get(ord(letter)) for letter in text if letter != MAY_BREAK)
    return sum(font["hmtx"][glyph][0] for glyph in glyphs if glyph) * size / font["head"].unitsPerEm


def overflowing(content: bytes) -> list[str]:
    """Pieces of text that reach beyond the right margin."""
    beyond = []

    def see(text, _, matrix, font, size):
        name = (font or {}).get("/BaseFont", "").partition("+")[2]
        for line in text.splitlines():
            if name in FONTS and matrix[4] + width(line.strip(), name, size) > RIGHT + 3:
                beyond.append(line)

    for page in PdfReader(io.BytesIO(content)).pages:
        page.extract_text(visitor_text=see)
    return beyond


LONG = "W" * 3000
STRANGE = "證據 <b>&amp; 👤 שלום \u202e\x07 Ωμέγα Привет"


def test_no_name_reason_or_note_is_too_long_or_too_strange(runs):
    long_note = "\n".join(["A sentence that goes on. " * 200, LONG, STRANGE])
    strange = item(
        [runs.named["pair"]],
        name=LONG + STRANGE,
        added_by=LONG,
        notes=[note(long_note, author=LONG)],
        decisions=[decision(LONG, LONG * 2 + STRANGE, confidence=LONG)],
        sign_offs=[sign_off(STRANGE)],
    )
    record = case([strange] * 2, log=chain([(LONG, {"why": LONG * 2}), (STRANGE, {STRANGE: STRANGE})]))
    record["case"] |= {"name": LONG + STRANGE, "id": LONG, "examiner": LONG}
    content = drawn(record, runs.pictures, letterhead=Letterhead(LONG, (STRANGE, LONG)))
    assert not overflowing(content)
    text = " ".join(texts(content))
    assert "Ωμέγα Привет" in text
    assert "證據" in text
    assert "\u25a1" in text  # a picture of a person, which no font has
    assert text.replace(" ", "").count("W") > len(LONG) * 15


def test_an_ordinary_case_stays_within_its_margins(content):
    assert not overflowing(content)


def test_a_long_log_is_cut_counted_and_named_by_its_head(runs):
    record = case([], log=chain([("note.add", {"text": f"number {number}"}) for number in range(260)]))
    text = " ".join(texts(drawn(record, {}, with_log=True)))
    assert f"The first {MOST_ENTRIES} of 260 entries are shown." in text
    assert f"number {MOST_ENTRIES - 1}" in text
    assert f"number {MOST_ENTRIES}" not in text
    assert text.count(record["log"]["head_sha256"]) > 2


def test_an_empty_case_an_item_without_a_run_and_an_empty_log_are_drawn():
    assert "No evidence is filed" in texts(drawn(case([], log=chain([])), {}))[0]
    assert any("has not been examined" in text for text in texts(drawn(case([item([])]), {})))


def test_in_blind_mode_the_finding_is_withheld_until_there_is_a_decision(runs):
    report = runs.named["generated"]["report"]
    text = " ".join(texts(drawn(case([item([runs.named["generated"]])], blind=True), runs.pictures)))
    assert "withheld" in text
    assert report["reason"] not in text
    assert f"{report['score']:.2f}" not in text


def test_progress_rises_to_the_end(record, runs):
    messages = []
    drawn(record, runs.pictures, progress=lambda stage, share: messages.append((share, stage)))
    assert messages == sorted(messages, key=lambda entry: entry[0])
    assert messages[-1][0] == 1.0
    assert "Item 2 of 4" in [stage for _, stage in messages]


def test_a_file_is_written_whole_and_never_over_another(record, content, runs, tmp_path):
    path = tmp_path / "case.pdf"
    write_pdf(CaseRecord.from_values(record), runs.pictures.__getitem__, path, letterhead=LETTERHEAD)
    assert path.read_bytes() == content
    with pytest.raises(UsageError, match="not overwritten"):
        write_pdf(CaseRecord.from_values(record), runs.pictures.__getitem__, path, letterhead=LETTERHEAD)


def test_the_language_can_be_set_and_an_unknown_one_writes_nothing(record, runs, tmp_path):
    assert "Schlussfolgerung" in texts(drawn(record, runs.pictures, language="de"))[0]
    record = CaseRecord.from_values(record)
    with pytest.raises(UsageError, match="not in 'xx'"):
        write_pdf(record, runs.pictures.__getitem__, tmp_path / "x.pdf", letterhead=LETTERHEAD, language="xx")
    assert not list(tmp_path.iterdir())
