"""The lists of the large material, and the snapshots that its pictures are read from: real Git repositories."""

import gzip
import os
import shutil
import zlib

import numpy as np
import pytest

from faceloupe.errors import DatasetError
from faceloupe.training import material, snapshots
from faceloupe.training.snapshots import Read, Snapshots, Why, read_picture
from tests.training import large


@pytest.fixture
def sources(tmp_path) -> large.Material:
    return large.make(tmp_path)


def entries(sources: large.Material) -> list[material.Entry]:
    sources.write()
    return list(material.read_listing(sources.data).entries)


def read(sources: large.Material, number: int) -> Read | Why:
    with Snapshots(sources.snapshots) as readers:
        return read_picture(entries(sources)[number], sources.data, readers)


def last(sources: large.Material) -> Read | Why:
    return read(sources, -1)


def test_both_lists_are_read_in_order(sources):
    rows = entries(sources)
    assert [entry.split for entry in rows[:4]] == ["train", "train", "val", "val"]
    assert [entry.repository for entry in rows] == [""] * 4 + ["anna/photos"] * 4 + ["bert/made"] * 3
    assert [entry.label for entry in rows] == [0, 1, 0, 1] + [0] * 4 + [1] * 3


@pytest.mark.parametrize("number", range(11))
def test_the_pixels_are_those_that_were_committed_with_and_without_a_work_tree(sources, number):
    result = read(sources, number)
    seed = number if number < 4 else number + 6
    np.testing.assert_array_equal(result.rgb, large.picture(seed))
    assert result.entry.blob == snapshots.blob_of(large.png(large.picture(seed)))


def test_a_tile_is_cut_out_of_its_sheet_and_has_an_id_of_its_own(sources):
    whole = entries(sources)[4]
    corners = {"x0": "3", "y0": "5", "x1": "20", "y1": "45"}
    sources.listed("train", "real", whole.repository, whole.path, whole.blob, **corners)
    result = last(sources)
    np.testing.assert_array_equal(result.rgb, large.picture(10)[5:45, 3:20])
    assert result.entry.id == f"{whole.id}-3-5-20-45"


def test_a_tile_beyond_its_picture_is_missing(sources):
    whole = entries(sources)[4]
    sources.listed("train", "real", whole.repository, whole.path, whole.blob, x0="3", y0="5", x1="41", y1="45")
    assert last(sources) is Why.OUTSIDE


def test_a_blob_that_is_not_in_the_snapshot_is_missing_and_the_next_is_still_read(sources):
    sources.index[0]["blob"] = "0" * 40
    with Snapshots(sources.snapshots) as readers:
        pictures = [read_picture(entry, sources.data, readers) for entry in entries(sources)[4:6]]
    assert pictures[0] is Why.ABSENT
    np.testing.assert_array_equal(pictures[1].rgb, large.picture(11))


def test_a_commit_in_place_of_a_blob_is_no_picture(sources):
    commit = large.git(sources.snapshots / "anna+photos" / "repo", "rev-parse", "HEAD")
    sources.listed("train", "real", "anna/photos", "p", commit)
    assert last(sources) is Why.NO_PICTURE


@pytest.mark.parametrize("content", [b"words", b"", large.png(large.picture(5))[:200]], ids=["text", "empty", "cut"])
def test_a_blob_that_is_no_picture_is_missing(sources, content):
    blobs = large.repository(sources.snapshots / "c+c" / "repo", {"a.png": content})
    sources.listed("train", "real", "c/c", "a.png", blobs["a.png"])
    assert last(sources) is Why.NO_PICTURE


def loose(sources: large.Material, blob: str):
    return sources.snapshots / "anna+photos" / "repo" / ".git" / "objects" / blob[:2] / blob[2:]


def overwrite(path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def test_a_blob_whose_bytes_were_changed_is_missing(sources):
    other = large.png(large.picture(99))
    overwrite(loose(sources, sources.index[0]["blob"]), zlib.compress(b"blob %d\0" % len(other) + other))
    assert read(sources, 4) is Why.CHANGED
    assert isinstance(read(sources, 5), Read)


def test_a_damaged_blob_is_missing_and_the_next_is_still_read(sources):
    overwrite(loose(sources, sources.index[0]["blob"]), b"damaged")
    with Snapshots(sources.snapshots) as readers:
        pictures = [read_picture(entry, sources.data, readers) for entry in entries(sources)[4:6]]
    assert pictures[0] in (Why.CHANGED, Why.ABSENT)
    assert isinstance(pictures[1], Read)


def test_a_snapshot_that_stands_at_other_commits_yields_what_it_still_has(sources):
    shutil.rmtree(sources.snapshots / "anna+photos")
    files = {"p/10.png": large.png(large.picture(50)), "p/11.png": large.png(large.picture(11))}
    large.repository(sources.snapshots / "anna+photos" / "repo", files)
    assert read(sources, 4) is Why.ABSENT
    assert isinstance(read(sources, 5), Read)


def test_a_snapshot_that_is_no_longer_a_repository_costs_its_own_pictures_alone(sources):
    git = sources.snapshots / "anna+photos" / "repo" / ".git"
    (git / "HEAD").write_text("nonsense")
    assert read(sources, 4) is Why.CHANGED
    assert isinstance(read(sources, 8), Read)


def test_without_its_snapshot_a_picture_is_missing(sources):
    shutil.rmtree(sources.snapshots / "bert+made")
    assert read(sources, 8) is Why.NO_SNAPSHOT
    with Snapshots(None) as readers:
        assert read_picture(entries(sources)[8], sources.data, readers) is Why.NO_SNAPSHOT


def test_plain_files_of_an_archive_are_a_snapshot_held_against_the_blob(sources):
    folder = sources.snapshots / "d+d"
    folder.mkdir()
    content = large.png(large.picture(70))
    (folder / "a.png").write_bytes(content)
    row = sources.listed("train", "real", "d/d", "a.png", snapshots.blob_of(content))
    np.testing.assert_array_equal(last(sources).rgb, large.picture(70))
    (folder / "a.png").write_bytes(large.png(large.picture(71)))
    assert last(sources) is Why.CHANGED
    row["path"] = "b.png"
    assert last(sources) is Why.ABSENT


@pytest.mark.parametrize("way", ["../../data/0.png", "absolute", "link.png"])
def test_no_path_of_the_index_leads_out_of_a_snapshot_of_plain_files(sources, way):
    inside = sources.snapshots / "d+d"
    inside.mkdir()
    target = sources.data / "0.png"
    (inside / "link.png").symlink_to(target)
    path = str(target) if way == "absolute" else way
    sources.listed("train", "real", "d/d", path, snapshots.blob_of(target.read_bytes()))
    assert last(sources) is Why.ABSENT


def test_more_repositories_than_readers_are_kept_are_read_and_no_process_stays(sources):
    rows = []
    for number in range(10):
        blobs = large.repository(
            sources.snapshots / f"e+{number}" / "repo", {"a.png": large.png(large.picture(number))}
        )
        rows.append(sources.listed("train", "real", f"e/{number}", "a.png", blobs["a.png"]))
    mine = entries(sources)[-10:] * 2
    with Snapshots(sources.snapshots) as readers:
        pictures = [read_picture(entry, sources.data, readers) for entry in mine]
        running = list(readers._readers.values())
    assert all(isinstance(entry, Read) for entry in pictures)
    assert len(running) == 8
    assert all(process.returncode is not None for process in running)


def test_settings_of_the_machine_do_not_reach_git(sources, monkeypatch):
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", os.devnull)
    monkeypatch.setenv("GIT_DIR", os.devnull)
    assert isinstance(read(sources, 4), Read)


def test_the_survey_tells_commits_plain_files_and_what_is_not_there(sources):
    (sources.snapshots / "d+d").mkdir()
    counts = snapshots.survey(["d/d", "anna/photos", "no/one", "anna/photos"], sources.snapshots)
    assert list(counts) == ["anna/photos", "d/d", "no/one"]
    commit = large.git(sources.snapshots / "anna+photos" / "repo", "rev-parse", "HEAD")
    assert list(counts.values()) == [commit, "files", ""]


def test_a_missing_file_of_the_own_list_is_refused(sources):
    (sources.data / "0.png").unlink()
    with pytest.raises(DatasetError, match=r"0\.png is listed, but cannot be used"):
        read(sources, 0)


def test_without_an_index_the_own_list_stands_alone_in_one_sentence(sources):
    (sources.data / "index.csv.gz").unlink()
    listing = material.read_listing(sources.data)
    assert len(listing.entries) == 4
    assert listing.note.endswith("index.csv.gz is not there, so stills.csv alone is used.")


def test_clips_and_other_files_are_skipped_and_counted(sources):
    sources.listed("cross", "fake", "a/b", "A.MP4", "0" * 40)
    sources.listed("cross", "borderline", "a/b", "a.png", "1" * 40)
    sources.write()
    listing = material.read_listing(sources.data)
    assert len(listing.entries) == 11
    assert dict(listing.passed_over) == {"clips": 1, "borderline": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, "the split 'test'"),
        ({"label": "maybe"}, "the label 'maybe'"),
        ({"blob": "HEAD"}, "the blob 'HEAD'"),
        ({"blob": "--batch-all-objects" + "0" * 21}, "40 hexadecimal digits"),
        ({"repository": "../../etc"}, "owner/name"),
        ({"x0": "1"}, "four growing whole numbers"),
        ({"x0": "9", "y0": "1", "x1": "4", "y1": "5"}, "four growing whole numbers"),
        ({"x0": "a", "y0": "1", "x1": "4", "y1": "5"}, "four growing whole numbers"),
    ],
)
def test_an_invalid_row_is_refused_in_one_line(sources, change, message):
    sources.index[0] |= change
    with pytest.raises(DatasetError, match=message) as refusal:
        entries(sources)
    assert "\n" not in str(refusal.value)


def test_a_damaged_index_is_refused(sources):
    path = sources.data / "index.csv.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match="damaged"):
        material.read_listing(sources.data)
    path.write_bytes(gzip.compress(b"split,path\n"))
    with pytest.raises(DatasetError, match="no column blob, group"):
        material.read_listing(sources.data)


def test_a_source_can_declare_each_person_a_group(sources):
    sources.index[0]["group"] = sources.index[1]["group"] = "file name = person"
    rows = entries(sources)
    assert [entry.group for entry in rows[4:6]] == ["speaker:10", "speaker:11"]
    assert rows[4].unit == "speaker:10"


def test_a_group_of_the_index_holds_over_sources_and_one_of_the_own_list_does_not(sources):
    for row, source in zip([*sources.stills[:2], *sources.index[:2]], "abab", strict=True):
        row |= {"group": "anna", "source": source}
    rows = entries(sources)
    assert [entry.unit for entry in (*rows[:2], *rows[4:6])] == ["a/anna", "b/anna", "anna", "anna"]


def test_a_fake_of_the_own_list_and_its_original_are_a_pair(sources):
    sources.stills[0] |= {"source": "dfdc_faces", "path": "s/real/x.jpg"}
    sources.stills[1] |= {"source": "dfdc_faces", "path": "s/fake/a__orig_x.jpg"}
    rows = entries(sources)
    assert rows[0].pair == rows[1].pair == "s/real/x.jpg"
    assert rows[2].pair == ""


def stills(sources: large.Material) -> list[material.Still]:
    with Snapshots(sources.snapshots) as readers:
        read = [read_picture(entry, sources.data, readers) for entry in entries(sources)]
    return [material.Still(entry.entry, 40, 48, "ab", "0" * 16, "1" * 64) for entry in read]


def test_the_manifest_reads_back_and_cross_only_where_it_is_asked_for(sources, tmp_path):
    sources.index[0] |= {"x0": "0", "y0": "1", "x1": "9", "y1": "8", "group": "a, b", "pair": 'c"d'}
    written = stills(sources)
    material.write_manifest(written, tmp_path / "work" / "material.csv")
    read = material.read_manifest(tmp_path / "work" / "material.csv", material.SPLITS)
    assert read == written
    fitted = material.read_manifest(tmp_path / "work" / "material.csv")
    assert {still.entry.split for still in fitted} == {"train", "val"}
    with pytest.raises(DatasetError, match="no split test"):
        material.read_manifest(tmp_path / "work" / "material.csv", ("test",))


def test_cross_is_refused_where_something_is_fitted(sources):
    result = [still.entry for still in stills(sources)]
    material.refuse_held_out(entry for entry in result if entry.split != "cross")
    with pytest.raises(DatasetError, match=r"2 pictures of the split cross.*for looking only"):
        material.refuse_held_out(result)
    with pytest.raises(DatasetError, match="1 pictures"):
        material.refuse_held_out([result[-1]])


def test_a_missing_manifest_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match="run `gather` first"):
        material.read_manifest(tmp_path / "material.csv")


def test_the_added_index_of_the_project_can_be_read_and_names_each_picture_once(sources):
    own = len(material.read_listing(sources.data).entries)
    added = material.read_listing(sources.data, material.ADDED).entries[own:]
    assert len({entry.id for entry in added}) == len(added) > 0
    assert {entry.split for entry in added} <= {"train", "val"}
    assert {entry.label for entry in added} == {0, 1}
