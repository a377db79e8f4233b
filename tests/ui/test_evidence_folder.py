"""The evidence folder offers only its own files."""

import pytest

from faceloupe.errors import UsageError
from faceloupe.ui import evidence_folder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "evidence"
    (folder / "case 2").mkdir(parents=True)
    for name in ("b.mp4", "a.mp4", "case 2/c.mp4"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    return folder


def test_files_are_offered_sorted_with_their_folders(folder):
    assert evidence_folder.offered(folder) == (["a.mp4", "b.mp4", "case 2/c.mp4"], False)


def test_links_are_offered_only_where_they_stay_inside(folder):
    (folder / "inside.mp4").symlink_to(folder / "a.mp4")
    (folder / "outside.mp4").symlink_to(folder.parent / "secret.mp4")
    (folder / "up").symlink_to(folder.parent)
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    assert evidence_folder.offered(folder)[0] == ["a.mp4", "b.mp4", "case 2/c.mp4", "inside.mp4"]


@pytest.mark.parametrize("name", ["../secret.mp4", "case 2/../../secret.mp4", "/etc/passwd", "out.mp4"])
def test_no_name_points_outside_the_folder(folder, name):
    (folder / "out.mp4").symlink_to(folder.parent / "secret.mp4")
    with pytest.raises(UsageError, match="outside the evidence folder"):
        evidence_folder.inside(folder, name)


def test_a_large_folder_is_looked_through_in_part_and_says_so(folder, monkeypatch):
    monkeypatch.setattr(evidence_folder, "_MOST_OFFERED", 2)
    assert evidence_folder.offered(folder) == (["a.mp4", "b.mp4"], True)


def test_a_missing_folder_is_named_with_the_variable_that_sets_it(tmp_path):
    with pytest.raises(UsageError, match="FACELOUPE_EVIDENCE"):
        evidence_folder.offered(tmp_path / "none")
