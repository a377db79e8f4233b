"""An export is complete or absent, is logged, contains only what its reader may see, and needs little memory."""

import csv
import errno
import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec
import pytest
from jsonschema import Draft202012Validator
from tools.schemas import schemas

from faceloupe.bundle import export, format, signing
from faceloupe.bundle.export import export_case
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.verify import verify
from faceloupe.cases.case_record import open_case_record
from faceloupe.cases.store import CaseStore
from faceloupe.errors import CaseError, UsageError
from faceloupe.installation import ROOT
from tests.bundle.conftest import problems
from tests.cases.conftest import PICTURE, report_of, upload


@pytest.fixture
def store(tmp_path) -> CaseStore:
    return CaseStore(tmp_path / "data")


def filled(store: CaseStore, items: int, *, blind: bool = False, padding: str = "") -> str:
    """A case with so many examined items."""
    case = store.create_case("Many", examiner="Ann", blind=blind)
    for number in range(items):
        item = store.items.file(case.id, upload(b"%d" % number, f"{number}.jpg"), actor="Clerk")
        store.runs.add(
            case.id, item.sha256, report_of(item.sha256, padding=padding), {"boxes.png": PICTURE}, actor="Clerk"
        )
    return case.id


def as_json(values):
    return json.loads(msgspec.json.encode(values))


def test_an_export_is_logged_with_the_hash_of_its_manifest(made):
    log = made.store.log.entries(made.case_id)
    entry = next(entry for entry in log if entry.action == "export")
    parameters = json.loads(entry.parameters)
    assert (entry.actor, entry.action, parameters["file"]) == ("Ann", "export", made.path.name)
    assert parameters["file_sha256"] == hashlib.sha256(made.content).hexdigest()
    assert parameters["manifest_sha256"] == hashlib.sha256(made.members[format.MANIFEST]).hexdigest()
    manifest = Manifest.from_bytes(made.members[format.MANIFEST])
    *_, before = (other for other in log[: entry.seq - 1] if other.action != "score viewed")  # by the export itself
    assert (manifest.log_entries, manifest.log_head_sha256) == (before.seq, before.sha256)


def test_a_bundle_with_an_item_that_was_filed_again_under_another_name_is_good(store, tmp_path):
    case_id = filled(store, 2)
    store.items.file(case_id, upload(b"1", "again.jpg"), actor="Another clerk")
    export_case(store, case_id, tmp_path / "bundle.zip", actor="Ann")
    with (tmp_path / "bundle.zip").open("rb") as stream:
        assert [finding.text for finding in verify(stream).findings if not finding.good] == []


def test_the_members_are_what_the_store_has(made):
    members = made.members
    log = [json.loads(line) for line in members[format.LOG].splitlines()]
    assert log == [msgspec.to_builtins(entry.to_record()) for entry in made.store.log.entries(made.case_id)][: len(log)]
    with open_case_record(made.store, made.case_id) as streamed:
        whole = streamed.whole()
    header = json.loads(members[format.CASE])
    assert header["notes"] == as_json(whole.notes)
    assert header["sign_offs"] == as_json(whole.sign_offs)
    rows = list(csv.DictReader(io.StringIO(members[format.TABLE].decode())))
    for filed, line, row in zip(whole.items, members[format.ITEMS].splitlines(), rows, strict=True):
        item = json.loads(line)
        (run,), report = item["runs"], members[format.report_name(item["runs"][0]["report_sha256"])]
        assert (row["sha256"], row["run"]) == (item["sha256"], run["id"]) == (filed.sha256, filed.runs[0].id)
        assert (row["outcome"], report.decode()) == (
            json.loads(report)["outcome"],
            made.store.runs.report_text(run["id"]),
        )
        assert item["decisions"] == as_json(filed.decisions)
        with made.store.items.open_evidence(item["sha256"]).open() as stream:
            assert members[format.evidence_name(item["sha256"])] == stream.read()
    assert [row["decision"] for row in rows] == ["", "authentic"]
    assert members[format.DOCUMENT].startswith(b"%PDF-")
    assert b"Doe v. Roe" in members[format.PAGE]


def test_a_result_is_stored_in_only_one_member(made):
    texts = {name: content for name, content in made.members.items() if name.endswith((".json", ".jsonl"))}
    logits = {name: json.loads(report)["faces"][0]["raw_logit"] for name, report in texts.items() if "reports/" in name}
    assert any(logits.values())
    for name, logit in logits.items():
        if logit is not None:
            assert [other for other, content in texts.items() if str(logit).encode() in content] == [name]


def test_the_members_have_the_published_form(made):
    published = schemas()
    Draft202012Validator(published["bundle.json"]).validate(json.loads(made.members[format.MANIFEST]))
    Draft202012Validator(published["bundle-case.json"]).validate(json.loads(made.members[format.CASE]))
    for line in made.members[format.ITEMS].splitlines():
        Draft202012Validator(published["bundle-item.json"]).validate(json.loads(line))


def test_to_export_a_case_is_to_have_seen_its_results(store, tmp_path):
    case_id = filled(store, 2)
    export_case(store, case_id, tmp_path / "b.zip", actor="Bob", most_drawn=0)
    assert [entry.actor for entry in store.log.entries(case_id) if entry.action == "score viewed"] == ["Bob", "Bob"]


def test_an_export_logs_the_results_in_it_and_no_others(store, tmp_path, monkeypatch):
    case_id = filled(store, 1)
    (item,) = store.items.page(case_id).items
    again = store.runs.add(case_id, item.sha256, report_of(item.sha256, number=2), {}, actor="Clerk")
    store.reviews.view_score(case_id, item.sha256, examiner="Bob")
    with_late_run: list[str] = []

    def late(*arguments) -> None:
        run = store.runs.add(case_id, item.sha256, report_of(item.sha256, number=3), {}, actor="Clerk")
        with_late_run.append(run.id)
        real(*arguments)

    real = export._write_parts
    monkeypatch.setattr(export, "_write_parts", late)
    export_case(store, case_id, tmp_path / "b.zip", actor="Bob", most_drawn=0)
    first, second, third = store.runs.of_item(case_id, item.sha256)
    assert (second.id, [third.id]) == (again.id, with_late_run)
    *_, view, entry = store.log.entries(case_id)
    assert (view.action, entry.action) == ("score viewed", "export")
    assert json.loads(view.parameters) == {"sha256": item.sha256, "run": first.id}  # Bob had seen the second
    assert view.utc == entry.utc


def test_what_a_blind_case_hides_is_not_in_the_bundle_and_its_number_is(store, tmp_path):
    case_id = filled(store, 2, blind=True)
    decided = store.items.page(case_id).items[0].sha256
    store.reviews.decide(case_id, decided, outcome="authentic", reason="Seen", confidence="low", examiner="Ann")
    exported = export_case(store, case_id, tmp_path / "b.zip", actor="Ann")
    assert (exported.withheld_runs, exported.drawn) == (1, False)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert [name for name in archive.namelist() if name.startswith("reports/")] == [
            format.report_name(store.runs.of_item(case_id, decided)[0].report_sha256)
        ]
        assert Manifest.from_bytes(archive.read(format.MANIFEST)).withheld_runs == 1
    assert problems(io.BytesIO((tmp_path / "b.zip").read_bytes())) == []


def test_a_run_that_the_log_does_not_tell_of_is_not_called_withheld(store, tmp_path):
    case_id = filled(store, 1)
    with closing(sqlite3.connect(store.folder / "cases.sqlite")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        assert database.execute("DELETE FROM log WHERE action = 'run'").rowcount == 1
    exported = export_case(store, case_id, tmp_path / "b.zip", actor="Ann", most_drawn=0)
    assert (exported.withheld_runs, exported.log_good) == (0, False)


def test_decisions_and_who_signed_them_are_in_the_table(store, tmp_path):
    case_id = filled(store, 1)
    sha256 = store.items.page(case_id).items[0].sha256
    view = {"reason": "Seen", "confidence": "low", "examiner": "Ann"}
    signers = []
    for number, step in enumerate((None, "authentic", "Bob", "manipulated")):
        if step == "Bob":
            store.reviews.sign_off(case_id, sha256=sha256, reviewer="Bob")
        elif step:
            store.reviews.decide(case_id, sha256, outcome=step, **view)
        export_case(store, case_id, tmp_path / f"{number}.zip", actor="Ann", most_drawn=0)
        with zipfile.ZipFile(tmp_path / f"{number}.zip") as archive:
            (row,) = csv.DictReader(io.StringIO(archive.read(format.TABLE).decode("utf-8-sig")))
        signers.append((row["decision"], row["signed_by"]))
    assert signers == [("", ""), ("authentic", ""), ("authentic", "Bob"), ("manipulated", "")]


def test_an_empty_case_makes_a_good_bundle(store, tmp_path):
    case_id = store.create_case("Empty", examiner="Ann").id
    export_case(store, case_id, tmp_path / "b.zip", actor="Ann", language="de")
    with (tmp_path / "b.zip").open("rb") as stream:
        assert verify(stream).good


def test_a_broken_log_is_exported_and_fails_the_check(store, tmp_path):
    case_id = filled(store, 1)
    heads = store.folder / "heads.txt"
    heads.unlink()
    assert not export_case(store, case_id, tmp_path / "b.zip", actor="Ann", most_drawn=0).log_good


def test_an_existing_file_is_never_overwritten(store, tmp_path):
    case_id = filled(store, 1)
    (tmp_path / "b.zip").write_bytes(b"evidence")
    with pytest.raises(UsageError, match="not overwritten"):
        export_case(store, case_id, tmp_path / "b.zip", actor="Ann", most_drawn=0)
    assert (tmp_path / "b.zip").read_bytes() == b"evidence"
    assert {"export", "score viewed"}.isdisjoint(entry.action for entry in store.log.entries(case_id))


def test_a_full_disk_leaves_nothing_behind(store, tmp_path, monkeypatch):
    case_id, real = filled(store, 3), export._Hashed.write

    def full(stream, content):
        if stream.size + len(content) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(stream, content)

    monkeypatch.setattr(export._Hashed, "write", full)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="No space left on device"):
        export_case(store, case_id, tmp_path / "out" / "b.zip", actor="Ann", most_drawn=0)
    assert list((tmp_path / "out").iterdir()) == []
    assert {"export", "score viewed"}.isdisjoint(entry.action for entry in store.log.entries(case_id))


@pytest.mark.parametrize("kind", ["evidence", "pictures"])
def test_damaged_files_of_the_store_are_not_exported(store, tmp_path, kind):
    case_id = filled(store, 1)
    (path,) = (path for path in (store.folder / kind).rglob("*") if path.is_file())
    path.chmod(0o600)
    path.write_bytes(b"something else")
    with pytest.raises(CaseError, match="damaged"):
        export_case(store, case_id, tmp_path / "b.zip", actor="Ann", with_evidence=True, most_drawn=0)
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials are forks")
@pytest.mark.timeout(900)  # 200 exports take minutes on a loaded machine
@pytest.mark.parametrize("trials", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_an_export_that_is_killed_at_any_moment_leaves_no_half_bundle(store, tmp_path, trials):
    case = store.create_case("Killed", examiner="Ann")
    for number in range(20):
        store.items.file(case.id, upload(b"%d" % number * 100_000, f"{number}.jpg"), actor="Clerk")
    command = [sys.executable, "-W", "error", "-m", "tests.bundle.killed", store.folder, case.id, str(trials)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr
    whole, none = map(int, done.stdout.split())
    assert min(whole, none) >= 2  # the moments were before and after the end


@pytest.mark.parametrize(("few", "many"), [(20, 120), pytest.param(100, 600, marks=pytest.mark.soak)])
def test_the_memory_of_an_export_and_of_its_check_does_not_grow_with_the_reports(store, tmp_path, few, many):
    peaks, checks, length = [], [], 200_000
    for items in (few, many):
        case_id = filled(store, items, padding="x" * length)
        tracemalloc.start()
        try:
            export_case(store, case_id, tmp_path / f"{items}.zip", actor="Ann", most_drawn=10)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
            with (tmp_path / f"{items}.zip").open("rb") as stream:
                assert verify(stream).good
            checks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    for grown in (peaks, checks):
        growth = (grown[1] - grown[0]) / (many - few)
        assert growth < length / 12, f"{growth:.0f} bytes an item"  # its row, its names and its hashes stay


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: signing.fingerprint(signing.signing_key(tmp_path).public_key()), range(32)))
    assert len(made) == 1
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])  # pragma: allowlist secret
def test_a_damaged_key_is_never_replaced(tmp_path, content):
    (tmp_path / "signing_key.pem").write_bytes(content)
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        signing.signing_key(tmp_path)
    assert (tmp_path / "signing_key.pem").read_bytes() == content
