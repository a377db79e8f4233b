"""Batches that are kept, and their tables read back."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faceloupe.batch.api import inputs, run_batch
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.batch.results import BatchResults, Sources, csv_without
from faceloupe.batch.store import BatchStore
from faceloupe.batch.table import cell
from faceloupe.config import Settings
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.types import Outcome
from tests.conftest import GENERATED, PHOTOGRAPH

SETTINGS = Settings(max_bytes=10**8)


@pytest.fixture
def batch_store(tmp_path):
    return BatchStore(tmp_path / "batches")


def uploads(*pairs):
    return [(name, io.BytesIO(content)) for name, content in pairs]


def test_a_batch_is_found_again_by_another_shelf_of_the_same_folder(batch_store, tmp_path):
    now = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    batch = batch_store.add("news", uploads=uploads(("a.jpg", b"x")), now=lambda: now)
    again = BatchStore(tmp_path / "batches")
    assert again.all() == [batch] == [again.get(batch.id)]
    assert batch.created_utc == "2026-05-04T03:02:01+00:00"


def test_a_batch_keeps_what_scores_and_takes_all_else_from_the_settings_of_the_day(batch_store, tmp_path):
    made = {"quick": Settings(effort="quick"), "named": Settings(model="some-model")}
    for name, settings in made.items():
        batch = batch_store.add(name, settings=settings, uploads=uploads(("a.jpg", b"x")))
        result = BatchStore(tmp_path / "batches").get(batch.id).settings(Settings(effort="thorough", max_pixels=5))
        assert result == replace(settings, max_pixels=5)


def test_a_batch_of_a_release_without_efforts_scores_with_the_settings_of_the_day(batch_store):
    batch = batch_store.add("old", uploads=uploads(("a.jpg", b"x")))
    path = batch.folder / "batch.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in stored.items() if key not in ("effort", "model")}))
    assert batch_store.get(batch.id).settings(Settings(effort="thorough")) == Settings(effort="thorough")


def test_uploads_keep_their_names_and_bytes_also_where_two_share_a_name(batch_store):
    batch = batch_store.add("", uploads=uploads(("a.jpg", b"1"), ("a.jpg", b"2"), ("b.jpg", b"3")))
    assert [task.shown for task in inputs(batch.spec())] == ["a.jpg", "2/a.jpg", "b.jpg"]
    assert [Path(task.path).read_bytes() for task in inputs(batch.spec())] == [b"1", b"2", b"3"]


def test_uploads_named_like_the_folders_of_others_are_kept_too(batch_store):
    batch = batch_store.add(
        "", uploads=uploads(("3", b"1"), ("a.jpg", b"2"), ("a.jpg", b"3"), ("3+", b"4"), ("3+", b"5"))
    )
    assert [Path(task.path).read_bytes() for task in inputs(batch.spec())] == [b"1", b"2", b"3", b"4", b"5"]


def test_what_the_first_upload_makes_is_its_owners_alone(tmp_path):
    data = tmp_path / "new" / "data"
    BatchStore(data / "batches").add("", uploads=uploads(("a.jpg", b"x")))
    for folder in (data.parent, data, data / "batches"):
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name",
    ["../../evil.jpg", "/etc/passwd", "..", ".hidden", "a\nb.jpg", "", "\u202egpj.exe", "é" * 400],
)
def test_no_name_of_an_upload_points_outside_the_folder(batch_store, name):
    batch = batch_store.add("", uploads=uploads((name, b"x")))
    (task,) = inputs(batch.spec())
    assert task.path.startswith(str(batch.folder / "uploads"))
    assert "\n" not in task.shown


def test_a_batch_of_nothing_is_refused_and_leaves_nothing(batch_store, tmp_path):
    with pytest.raises(UsageError, match="needs files"):
        batch_store.add("empty")
    assert list((tmp_path / "batches").iterdir()) == []


@pytest.mark.parametrize("batch_id", ["../secret", "", "20260504-030201-zzzzzz", "20260504-030201-abcdef"])
def test_what_is_no_batch_is_not_opened(batch_store, batch_id):
    assert batch_store.get(batch_id) is None


def test_a_damaged_record_hides_one_batch_and_no_other(batch_store):
    first, second = (batch_store.add(name, uploads=uploads(("a", b"x"))) for name in "ab")
    (first.folder / "batch.json").write_text("{")
    assert batch_store.all() == [second]


def test_named_files_are_shown_below_the_folder_that_they_are_offered_from(batch_store, tmp_path):
    (tmp_path / "evidence" / "desk").mkdir(parents=True)
    (tmp_path / "evidence" / "desk" / "a.jpg").write_bytes(b"x")
    batch = batch_store.add("", paths=[tmp_path / "evidence" / "desk"], root=tmp_path / "evidence")
    assert [task.shown for task in inputs(batch.spec())] == ["desk/a.jpg"]
    assert batch_store.get(batch.id) == batch


def test_a_removed_batch_is_gone_and_named_files_stay(batch_store, tmp_path):
    named = tmp_path / "named.jpg"
    named.write_bytes(b"x")
    batch = batch_store.add("", paths=[named])
    batch_store.remove(batch)
    assert batch_store.all() == []
    assert named.exists()


@pytest.fixture(scope="module")
def examined(tmp_path_factory, settings):
    """A batch of a portrait, its copy, a photograph in a ZIP and a text, carried out."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner/photo.png", PHOTOGRAPH.read_bytes())
        archive.writestr("clip.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(100))
    files = uploads(
        ("portrait.jpg", GENERATED.read_bytes()),
        ("copy.jpg", GENERATED.read_bytes()),
        ("more.zip", packed.getvalue()),
        ("text.jpg", b"no picture"),
    )
    batch = BatchStore(tmp_path_factory.mktemp("shelf")).add("mixed", uploads=files)
    run_batch(batch.spec(), settings, make_engine=lambda worker_config: LocalEngine(worker_config, workers=1))
    return batch


def test_the_table_is_read_back_with_its_counts(examined):
    results = BatchResults.read(examined.table)
    assert results.whole
    assert list(results.rows["path"]) == [
        "portrait.jpg",
        "copy.jpg",
        "more.zip!inner/photo.png",
        "more.zip!clip.mp4",
        "text.jpg",
    ]
    assert sum(results.counts.values()) == len(results.rows) == 5
    assert results.counts[Outcome.ERROR] == 2
    assert results.rows["duplicate_of"][1] == "portrait.jpg"
    assert examined.thumbnail(results.rows["sha256"][0]).read_bytes().startswith(b"\xff\xd8")
    assert not examined.thumbnail(results.rows["sha256"][4]).exists()


def test_rows_are_filtered_searched_and_sorted(examined):
    results = BatchResults.read(examined.table)
    assert list(results.chosen(outcome=Outcome.ERROR)["path"]) == ["more.zip!clip.mp4", "text.jpg"]
    assert list(results.chosen(search="PHOTO.png")["path"]) == ["more.zip!inner/photo.png"]
    scores = results.chosen(sort="Score, highest first")["score"].dropna()
    assert list(scores) == sorted(scores, reverse=True)
    assert list(results.chosen(search="(")["path"]) == list(
        results.rows[results.rows["reason"].str.contains("(", regex=False)]["path"]
    )


def test_a_last_row_that_is_still_being_written_is_not_shown(examined, tmp_path):
    cut = tmp_path / "cut.csv"
    cut.write_bytes(examined.table.read_bytes()[:-40] + b'"unfinished')
    assert len(BatchResults.read(cut).rows) <= 5
    assert set(BatchResults.read(cut).rows["outcome"]) <= {outcome.value for outcome in Outcome}


def test_a_table_that_is_only_just_being_begun_has_no_rows(tmp_path):
    table = tmp_path / "table.csv"
    assert BatchResults.read(table).rows.empty
    table.touch()
    results = BatchResults.read(table)
    assert results.rows.empty
    assert results.counts[Outcome.ERROR] == 0
    assert csv_without(table, {"0" * 64}) == b""


def test_the_files_behind_rows_are_taken_in_again_also_out_of_a_zip(examined, monkeypatch):
    listings = []
    monkeypatch.setattr("faceloupe.batch.results.inputs", lambda order: listings.append(order) or inputs(order))
    rows = BatchResults.read(examined.table).rows
    sources = Sources(examined.spec(), rows["path"], SETTINGS)
    for row in rows.itertuples():
        if row.path == "more.zip!clip.mp4":
            with pytest.raises(UsageError, match="unpack it"):
                sources.take(row.path, row.sha256, row.media_type)
        else:
            evidence_file = sources.take(row.path, row.sha256, row.media_type)
            assert evidence_file.evidence.sha256 == row.sha256
    assert len(listings) == 1


def test_a_file_that_changed_or_went_is_not_passed_off_as_the_one_of_the_row(examined):
    sources = Sources(examined.spec(), ["text.jpg", "gone.jpg"], SETTINGS)
    with pytest.raises(FaceLoupeError, match="changed"):
        sources.take("text.jpg", "0" * 64, "image")
    with pytest.raises(UsageError, match="is missing or cannot be read"):
        sources.take("gone.jpg", "0" * 64, "image")


def test_the_file_behind_a_row_may_be_what_another_file_holds_besides_its_picture(batch_store):
    first, second = GENERATED.read_bytes(), PHOTOGRAPH.read_bytes()
    batch = batch_store.add("", uploads=uploads(("=two.jpg", first + second)), embedded=True)
    rows = cell("=two.jpg"), cell(f"=two.jpg!{len(first)}")
    sources = Sources(batch.spec(), rows, SETTINGS)
    for row, content in zip(rows, (first + second, second), strict=True):
        sha256 = hashlib.sha256(content).hexdigest()
        with sources.take(row, sha256, "image").open() as stream:
            assert stream.read() == content
