import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import DatasetError
from faceloupe.training import data
from faceloupe.types import Box

COLUMNS = ["split", "source", "label", "group", "path"]


def write(path: Path, rows: list[tuple]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path


GOOD = [
    ("train", "s", "real", "anna", "a.jpg"),
    ("train", "s", "fake", "", "b.jpg"),
    ("val", "s", "real", "bert", "c.jpg"),
    ("val", "s", "fake", "", "d.jpg"),
]


def test_the_polarity_is_one_for_manipulated(tmp_path):
    items = data.read_index(write(tmp_path / "stills.csv", GOOD))
    assert [item.label for item in items] == [0, 1, 0, 1]


def test_rows_of_other_splits_are_never_read(tmp_path):
    rows = [*GOOD, ("cross", "s", "fake", "", "held-out.jpg")]
    items = data.read_index(write(tmp_path / "stills.csv", rows))
    assert "held-out.jpg" not in {item.path for item in items}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD, ("val", "s", "real", "anna", "e.jpg")], "a leak"),
        ([*GOOD, ("val", "s", "fake", "", "a.jpg")], "listed twice"),
        (GOOD[:3], "both classes"),
        ([*GOOD, ("val", "s", "maybe", "", "e.jpg")], "real or fake"),
    ],
    ids=["leak", "duplicate", "one class", "label"],
)
def test_material_that_would_flatter_is_refused(tmp_path, rows, message):
    with pytest.raises(DatasetError, match=message):
        data.read_index(write(tmp_path / "stills.csv", rows))


def test_missing_material_and_unreadable_pictures_are_named(tmp_path):
    with pytest.raises(DatasetError, match="not there"):
        data.read_index(tmp_path / "stills.csv")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"broken\.jpg"):
        data.read_rgb(tmp_path / "broken.jpg")


def test_prepared_items_survive_writing_and_reading(tmp_path):
    items = data.read_index(write(tmp_path / "stills.csv", GOOD))
    result = [replace(item, box=Box(1.25, 2.0, 30.5, 40.0), landmarks=tuple(map(float, range(10)))) for item in items]
    data.write_faces(result, tmp_path / "work" / "faces.csv")
    assert data.read_index(tmp_path / "work" / "faces.csv") == result


def test_the_whole_picture_stands_in_where_no_face_is_found(tmp_path):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "black.png")
    item = data.Item("train", "s", 0, "", "black.png")
    (result,) = data.find_faces(tmp_path, [item], workers=1)
    assert (result.box, result.has_face) == (Box(0, 0, 60, 40), False)


@pytest.mark.parametrize(
    ("source", "path", "original"),
    [
        ("dfdc_faces", "s/dfdc_faces/fake/abc__orig_xyz.jpg", "s/dfdc_faces/real/xyz.jpg"),
        ("ffpp_faces", "s/ffpp_faces/fake/015_919_3.jpg", "s/ffpp_faces/real/015_3.jpg"),
        ("hardfake", "s/hardfake/fake/fake_1.jpg", None),
    ],
)
def test_a_fake_names_its_original(source, path, original):
    assert data.Item("train", source, 1, "", path).original == original
    assert data.Item("train", source, 0, "", path).original is None


def test_no_group_of_the_real_material_crosses_a_split_and_nearly_all_originals_exist(shared_data):
    items = data.read_index(shared_data / "stills.csv")  # it checks the groups
    assert len(items) > 12_000
    paths = {item.path for item in items}
    named = [item for item in items if item.original]
    assert len(named) > 2000
    assert sum(item.original in paths for item in named) / len(named) > 0.99
    splits = {item.path: item.split for item in items}
    assert all(splits.get(item.original, item.split) == item.split for item in named)
