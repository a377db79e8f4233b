"""The page Report, driven as a user would."""

import hashlib
import io
import json
import zipfile

import pytest

from faceloupe.bundle import export
from faceloupe.bundle.signing import fingerprint, signing_key
from faceloupe.bundle.verify import verify
from faceloupe.report.document.case import Letterhead
from faceloupe.ui import resources, state
from faceloupe.ui.case.report_files import Source
from tests.pages.record import ADA, blind_case_with, click, create, ended, go
from tests.pages.test_pages import page_text


@pytest.fixture
def filed(app):
    """A case that is not blind, with a sample filed from the page Image."""
    go(create(app), "image")
    click(app, "sample-photograph")
    return click(app, "file")


def previewed(at):
    (frame,) = at.get("iframe")
    return frame.proto.srcdoc


def exports(case_id):
    return [
        json.loads(entry.parameters) for entry in resources.cases().log.entries(case_id) if entry.action == "export"
    ]


@pytest.mark.parametrize("page", ["report", "settings"])
def test_the_fingerprint_of_the_own_key_is_shown_where_bundles_are_made(filed, page):
    go(filed, page)
    key = fingerprint(signing_key(resources.cases().folder).public_key())
    assert key in page_text(filed)


def test_the_report_is_previewed_and_offered_as_files(filed):
    go(filed, "report")
    filed.text_input(key="organization_input").set_value("Example Laboratory").run()
    filed.selectbox(key="language_input").select("de").run()
    assert not filed.exception
    labels = {button.proto.label for button in filed.get("download_button")}
    assert {"HTML", "PDF", "Case JSON", "Export bundle"} <= labels
    assert filed.get("iframe")
    go(filed, "cases")
    assert go(filed, "report").text_input(key="organization_input").value == "Example Laboratory"


def test_the_report_is_drawn_anew_only_where_the_case_or_its_look_has_changed(filed):
    first = previewed(go(filed, "report"))
    assert previewed(filed.run()) == first  # its time of creation would differ
    case_id = filed.session_state[state.CASE]
    resources.cases().reviews.add_note(case_id, "A note", author=ADA)
    second = previewed(filed.run())
    assert second != first
    filed.selectbox(key="language_input").select("de").run()
    assert previewed(filed) != second


def test_a_drawn_report_is_not_shown_once_a_blind_case_keeps_its_results(filed):
    withheld = "what the tool found in this item is withheld"
    assert withheld not in previewed(go(filed, "report"))
    blind_case_with()
    assert withheld in previewed(filed.run())


def test_every_file_that_is_handed_out_is_logged_with_its_hash(filed):
    case_id = filed.session_state[state.CASE]
    source = Source(resources.cases(), case_id, ADA, Letterhead("Example Laboratory"), "de")
    files = {
        "a.html": source.logged_download("a.html", lambda: b"<html>"),
        "a.pdf": source.logged_download("a.pdf", source.pdf),
        "a.json": source.logged_download("a.json", source.json),
        f"faceloupe-case-{case_id}.zip": source.bundle(),
    }
    assert {export["file"]: export["file_sha256"] for export in exports(case_id)} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert files["a.pdf"].startswith(b"%PDF")
    assert json.loads(files["a.json"])["case"]["id"] == case_id
    assert zipfile.is_zipfile(io.BytesIO(files[f"faceloupe-case-{case_id}.zip"]))
    assert resources.cases().log.verify(case_id).ok


def test_the_bundle_of_a_large_case_is_written_to_the_disk(filed, monkeypatch, data_folder):
    monkeypatch.setattr(export, "MOST_DRAWN", 0)
    text = page_text(go(filed, "report"))
    assert "written to the data folder" in text
    assert not filed.get("iframe")
    assert not filed.get("download_button")  # before it is written
    case_id = filed.session_state[state.CASE]
    click(filed, "write_bundle")
    path = written(filed, data_folder, with_evidence=False)
    assert [export["file"] for export in exports(case_id)] == [path.name]


def test_the_report_of_a_large_case_is_written_to_the_disk_and_logged(filed, monkeypatch, data_folder):
    monkeypatch.setattr(export, "MOST_DRAWN", 0)
    assert "written as a PDF" in page_text(go(filed, "report"))
    click(filed, "write_report")
    (job,) = (job for job in resources.long_jobs().live() if job.key[0] == "report")
    ended(job)
    assert "The report was written to" in page_text(filed.run())
    (path,) = (data_folder / "exports").glob("*.pdf")
    assert path.read_bytes().startswith(b"%PDF")
    case_id = filed.session_state[state.CASE]
    logged = {export["file"]: export["file_sha256"] for export in exports(case_id)}
    assert logged == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert "Download this report" in {button.proto.label for button in filed.get("download_button")}


def test_a_bundle_with_the_evidence_is_written_to_the_disk(filed, data_folder):
    assert "This bundle contains no evidence" in page_text(go(filed, "report"))
    click(filed, "write_bundle")
    with zipfile.ZipFile(written(filed, data_folder, with_evidence=True)) as archive:
        assert any(name.startswith("evidence/") for name in archive.namelist())
    assert "Download this bundle" in {button.proto.label for button in filed.get("download_button")}


def written(filed, data_folder, *, with_evidence):
    """The bundle that a job of the page wrote."""
    job = resources.long_jobs().get(("bundle", filed.session_state[state.CASE], "ada example", with_evidence))
    assert job is not None
    ended(job)
    assert "The bundle was written to" in page_text(filed.run())
    (path,) = (data_folder / "exports").iterdir()
    with path.open("rb") as stream:
        assert verify(stream).good
    return path
