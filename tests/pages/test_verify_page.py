"""The page Verify, driven as a user would."""

import io
import json
import zipfile
from datetime import UTC, datetime

import pytest

from faceloupe.bundle.format import MANIFEST, SIGNATURE
from faceloupe.bundle.signing import signing_key
from faceloupe.bundle.verify import verify
from faceloupe.report.document.case import Letterhead
from faceloupe.ui import bundle_check, language, resources, state
from faceloupe.ui.case.report_files import Source
from tests.pages.record import ADA, go
from tests.pages.test_pages import page_text


@pytest.fixture
def bundle():
    case = resources.cases().create_case("Harbor", examiner=ADA)
    resources.cases().reviews.add_note(case.id, "A note", author=ADA)
    return Source(resources.cases(), case.id, ADA, Letterhead(""), "en").bundle()


def checked(app, content: bytes, name: str = "bundle.zip"):
    go(app, "verify").file_uploader(key="bundle_upload").upload(name, content, "application/zip").run()
    assert not app.exception
    return "\n".join([page_text(app), *(element.value for element in app.success)]).replace("\\", "")


def broken(bundle: bytes) -> bytes:
    """The bundle with one letter of a note changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.infolist():
            new.writestr(member, old.read(member).replace(b"A note", b"B note"))
    return stream.getvalue()


def test_a_good_bundle_passes_part_by_part(app, bundle):
    text = checked(app, bundle)
    assert "every check passed" in text
    assert "is signed by the key" in text
    assert "failed" not in text
    assert verify(io.BytesIO(bundle)).fingerprint in text


def test_the_name_of_the_file_is_escaped_on_the_page_and_stands_as_it_is_in_the_protocol(app, bundle, monkeypatch):
    names = []
    monkeypatch.setattr(bundle_check, "protocol", lambda verification, *, name, **facts: names.append(name) or "")
    go(app, "verify").file_uploader(key="bundle_upload").upload("a_b_.zip", bundle, "application/zip").run()
    assert (names, app.success[0].value) == (["a_b_.zip"], "a\\_b\\_\\.zip: every check passed.")


def test_a_changed_bundle_fails_and_the_member_is_named(app, bundle):
    text = checked(app, broken(bundle))
    assert "failed" in text
    assert "case.json" in text
    assert text.count("not checked") == 2  # the log and what is consistent


def test_what_is_not_a_bundle_is_reported_in_one_sentence(app, bundle):
    assert "not a ZIP" in checked(app, b"not a bundle")
    climbing = io.BytesIO()
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr("../../outside.txt", b"x")
    assert "failed" in checked(app, climbing.getvalue(), "climbing.zip")


def test_what_was_found_and_what_was_not_checked_is_in_the_language_of_the_app(app, bundle):
    app.session_state[state.APP_LANGUAGE] = "de"
    text = checked(app, broken(bundle))
    assert "case.json wurde verändert: sein SHA-256 weicht von manifest.json ab." in text
    assert "nicht geprüft: Ob die Kette des Protokolls unversehrt ist." in text
    assert "Die Datei ist keine ZIP-Datei" in checked(app, b"not a bundle")


def test_the_protocol_is_in_the_language_of_the_app(bundle, monkeypatch):
    verification = verify(io.BytesIO(broken(bundle)))
    now = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    english = bundle_check.protocol(verification, name="a.zip", sha256="0" * 64, now=now)
    monkeypatch.setattr(bundle_check, "current", lambda: "de")
    monkeypatch.setattr(language, "current", lambda: "de")
    german = bundle_check.protocol(verification, name="a.zip", sha256="0" * 64, now=now).splitlines()
    assert "Ergebnis           nicht bestanden" in german
    assert f"Signaturschlüssel  {verification.fingerprint}" in german
    assert "NICHT BESTANDEN  case.json wurde verändert: sein SHA-256 weicht von manifest.json ab." in german
    assert set(german) & set(english.splitlines()) == {""}


def test_a_bundle_of_a_newer_format_is_reported_in_one_sentence(app, bundle):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(stream, "w") as new:
        members = {member: old.read(member) for member in old.namelist()}
        members[MANIFEST] = json.dumps(json.loads(members[MANIFEST]) | {"format": "9"}).encode()
        members[SIGNATURE] = signing_key(resources.cases().folder).sign(members[MANIFEST])
        for name, content in members.items():
            new.writestr(name, content)
    assert "has the format '9'; this version reads" in checked(app, stream.getvalue())


def test_the_protocol_names_file_time_key_and_every_check(bundle):
    verification = verify(io.BytesIO(bundle))
    now = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    text = bundle_check.protocol(verification, name="a\u202eb.zip", sha256="0" * 64, now=now)
    assert "Verified     2026-11-29T12:00:00Z" in text
    assert "\u202e" not in text
    assert str(verification.fingerprint) in text
    assert text.count("passed  ") == len(verification.findings)
