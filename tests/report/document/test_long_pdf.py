"""Claims about reports that are drawn in parts: they read as if drawn at once."""

import io
from types import SimpleNamespace

import pytest
from pypdf import PdfReader

from faceloupe.report.document import pdf
from tests.report.case_records import case, item
from tests.report.document.test_pdf import drawn, texts


@pytest.fixture(scope="module")
def both(runs):
    """The same record drawn at once, and in parts of two items."""
    record = case([item([runs.named[name]]) for name in ("generated", "clip", "pair", "broken", "faceless")])
    at_once = drawn(record, runs.pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "ITEMS_A_PART", 2)
        stages: list[float] = []
        in_parts = drawn(record, runs.pictures, progress=lambda _stage, share: stages.append(share))
        again = drawn(record, runs.pictures)
    return SimpleNamespace(record=record, at_once=at_once, in_parts=in_parts, again=again, stages=stages)


def structure(content: bytes) -> list[str]:
    """The kinds of all elements of the structure, in reading order, each with its depth."""
    kinds: list[str] = []

    def walk(element, depth):
        element = element.get_object()
        if isinstance(element, list):
            for child in element:
                walk(child, depth)
        elif isinstance(element, dict) and "/S" in element:
            kinds.append(f"{depth} {element['/S']}")
            walk(element.get("/K", []), depth + 1)

    walk(PdfReader(io.BytesIO(content)).trailer["/Root"]["/StructTreeRoot"]["/K"], 0)
    return kinds


def test_it_has_the_same_words_and_structure_as_a_report_drawn_at_once(both):
    def bodies(content):
        """Return the words without headers and footers, because page breaks can differ in a report of several parts."""
        return " ".join(
            page.partition(" of Pictures ")[2].rpartition(" created 20")[0] for page in texts(content)
        ).split()

    number = f"This report has {len(texts(both.at_once))} pages."
    assert " ".join(bodies(both.in_parts)).replace(f"{number} ", "") == " ".join(bodies(both.at_once))
    assert sorted(structure(both.in_parts)[1:]) == sorted([*structure(both.at_once)[1:], "1 /P"])  # the number of pages


def test_each_page_has_its_number_and_the_first_says_how_many_there_are(both):
    pages = texts(both.in_parts)
    assert f"This report has {len(pages)} pages." in pages[0]
    for number, text in enumerate(pages, 1):
        assert f"Page {number} " in f"{text} "


def test_the_table_of_evidence_leads_to_the_items_and_names_their_pages(both):
    reader, pages = PdfReader(io.BytesIO(both.in_parts)), texts(both.in_parts)
    begins = [
        next(number for number, text in enumerate(pages, 1) if f"Item {k}: {entry['name']}" in text)
        for k, entry in enumerate(both.record["items"], 1)
    ]
    (summary,) = (page for page, text in zip(reader.pages, pages, strict=True) if "Summary of the evidence" in text)
    links = [note.get_object() for note in summary["/Annots"]]
    assert all("/A" not in link for link in links)
    targets = [reader.get_destination_page_number(reader.named_destinations[link["/Dest"]]) + 1 for link in links]
    assert sorted(targets) == sorted(2 * begins)
    bookmarks = {
        entry.title: reader.get_destination_page_number(entry) + 1
        for entry in reader.outline
        if not isinstance(entry, list)
    }
    assert [bookmarks[f"Item {k}: {entry['name']}"] for k, entry in enumerate(both.record["items"], 1)] == begins


def pages_of(element) -> set[int]:
    """The keys of the pages of an element: its own, and those of its parts, because rows can break over pages."""
    parts = element.get("/K", [])
    parts = [part.get_object() for part in (parts if isinstance(parts, list) else [parts])]
    pages = [element, *(part for part in parts if hasattr(part, "keys") and "/Pg" in part)]
    return {page["/Pg"].get_object()["/StructParents"] for page in pages}


def test_the_structure_leads_from_each_page_to_its_elements_and_each_cell_has_an_identifier_of_its_own(both):
    reader = PdfReader(io.BytesIO(both.in_parts))
    tree = reader.trailer["/Root"]["/StructTreeRoot"]
    numbers = tree["/ParentTree"]["/Nums"]
    keys = [int(key) for key in numbers[::2]]
    assert keys == sorted(set(keys))
    assert tree["/ParentTreeNextKey"] > keys[-1]
    of_key = dict(zip(keys, numbers[1::2], strict=True))
    for page in reader.pages:
        elements = [element.get_object() for element in of_key[int(page["/StructParents"])].get_object()]
        assert elements
        assert all(page["/StructParents"] in pages_of(element) for element in elements if "/Pg" in element)
    names = tree["/IDTree"]["/Names"][::2]
    assert list(names) == sorted(set(names))
    assert (
        len(names)
        == len(PdfReader(io.BytesIO(both.at_once)).trailer["/Root"]["/StructTreeRoot"]["/IDTree"]["/Names"]) / 2
    )


def test_it_states_its_standards_and_number_of_pages_and_is_the_same_each_time(both):
    reader = PdfReader(io.BytesIO(both.in_parts))
    stated = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    for fact in ("pdfaid:part>3<", "pdfaid:conformance>A<", "pdfuaid:part>1<", f"NPages>{len(reader.pages)}<"):
        assert fact in stated
    assert both.in_parts == both.again
    assert both.stages == sorted(both.stages)
    assert both.stages[-1] == 1.0
