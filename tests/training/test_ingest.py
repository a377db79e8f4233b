"""Ingestion of generated pictures: refused and dropped pictures, and the output."""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import DatasetError
from faceloupe.training import data, ingest

COLUMNS = ("split", "source", "label", "group", "path")
ROWS = [
    ("train", "s", "real", "anna", "a.png"),
    ("train", "s", "fake", "", "b.png"),
    ("val", "s", "real", "bert", "c.png"),
    ("val", "s", "fake", "", "d.png"),
]


def write_index(folder: Path, rows: list[tuple]) -> None:
    with (folder / "stills.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])


@pytest.fixture
def material(tmp_path) -> Path:
    """Four different pictures, one of each split and label."""
    folder = tmp_path / "material"
    folder.mkdir()
    random = np.random.default_rng(0)
    for row in ROWS:
        Image.fromarray(random.integers(0, 256, (24, 20, 3), np.uint8)).save(folder / row[-1])
    write_index(folder, ROWS)
    return folder


def add(folder: Path, row: tuple) -> None:
    write_index(folder, [*ROWS, row])


def test_sound_material_passes_and_reads_back(material, tmp_path):
    ingested = ingest.ingest(material, workers=1)
    ingest.write_items(ingested, tmp_path / "work" / "items.csv")
    assert ingested.items == data.read_index(material / "stills.csv")
    assert data.read_index(tmp_path / "work" / "items.csv") == ingested.items
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["items.csv"]


def test_the_written_hash_is_that_of_the_file(material, tmp_path):
    ingest.write_items(ingest.ingest(material, workers=1), tmp_path / "items.csv")
    with (tmp_path / "items.csv").open(newline="") as stream:
        written = {row["path"]: row["sha256"] for row in csv.DictReader(stream)}
    assert written == {row[-1]: hashlib.sha256((material / row[-1]).read_bytes()).hexdigest() for row in ROWS}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("train", "s", "fake", "", "copy.png"), r"a\.png .*copy\.png .*both labels"),
        (("val", "s", "real", "", "copy.png"), r"a\.png .*copy\.png .*two splits, a leak"),
        (("val", "other", "fake", "", "copy.png"), "both labels"),
        (("val", "s", "real", "anna", "e.png"), "a leak"),
        (("val", "s", "real", "", "nowhere.png"), r"nowhere\.png"),
        (("val", "s", "real", "", "broken.png"), r"broken\.png .*cannot be used"),
        (("val", "s", "real", "", "cut.png"), r"cut\.png .*cannot be used"),
    ],
    ids=["both labels", "two splits", "another source", "group", "missing", "no picture", "cut short"],
)
def test_material_that_would_flatter_or_fail_is_refused_in_one_line(material, row, message):
    shutil.copy(material / "a.png", material / "copy.png")
    (material / "broken.png").write_bytes(b"no picture")
    (material / "cut.png").write_bytes((material / "a.png").read_bytes()[:600])
    add(material, row)
    with pytest.raises(DatasetError, match=message) as refusal:
        ingest.ingest(material, workers=1)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("lost", range(4))
def test_a_split_with_one_class_is_refused(material, lost):
    write_index(material, [row for number, row in enumerate(ROWS) if number != lost])
    with pytest.raises(DatasetError, match="both classes"):
        ingest.ingest(material, workers=1)


def test_the_same_pixels_in_another_file_are_the_same_picture(material):
    Image.open(material / "a.png").save(material / "a.bmp")
    add(material, ("val", "s", "real", "", "a.bmp"))
    with pytest.raises(DatasetError, match="two splits"):
        ingest.ingest(material, workers=1)


def test_the_same_values_in_another_shape_are_another_picture(material):
    pixels = np.asarray(Image.open(material / "a.png"))
    Image.fromarray(pixels.reshape(20, 24, 3)).save(material / "turned.png")
    add(material, ("val", "s", "real", "", "turned.png"))
    assert len(ingest.ingest(material, workers=1).items) == 5


def test_a_duplicate_within_split_and_label_is_dropped_and_named(material):
    shutil.copy(material / "a.png", material / "copy.png")
    add(material, ("train", "t", "real", "anna", "copy.png"))
    ingested = ingest.ingest(material, workers=1)
    assert [item.path for item in ingested.items] == [row[-1] for row in ROWS]
    assert ingested.dropped == (("copy.png", "a.png"),)
    table = ingest.summary(ingested)
    assert "dropped as duplicates: 1\n  copy.png is a.png" in table
    assert "\nt " not in table


def test_the_summary_counts_by_source_split_and_label(material):
    Image.fromarray(np.full((20, 20, 3), 9, np.uint8)).save(material / "e.png")
    add(material, ("val", "other", "fake", "", "e.png"))
    lines = [line.split() for line in ingest.summary(ingest.ingest(material, workers=1)).splitlines()]
    assert lines[0] == ["source", "train", "real", "train", "fake", "val", "real", "val", "fake"]
    assert lines[1:] == [
        ["other", "0", "0", "0", "1"],
        ["s", "1", "1", "1", "1"],
        ["all", "1", "1", "1", "2"],
        ["dropped", "as", "duplicates:", "0"],
    ]


def test_an_interrupted_writing_leaves_the_old_file(material, tmp_path, monkeypatch):
    path = tmp_path / "items.csv"
    path.write_text("old")
    ingested = ingest.ingest(material, workers=1)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        ingest.write_items(ingested, path)
    assert path.read_text() == "old"
    assert not path.with_suffix(".partial").exists()


def units() -> list[data.Item]:
    grouped = [data.Item("train", "s", n % 2, f"g{n // 4}", f"g{n}.png") for n in range(400)]
    alone = [data.Item(split, "t", n % 10 == 0, "", f"{split}{n}.png") for split in data.SPLITS for n in range(300)]
    return grouped + alone


def test_thinning_keeps_units_whole_and_every_class():
    everything = units()
    remaining = ingest.thin_out(everything, 0.02)
    whole = {item.unit for item in remaining}
    assert remaining == [item for item in everything if item.unit in whole]
    for source, split, share in (("s", "train", 8 / 400), ("t", "train", 6 / 300), ("t", "val", 6 / 300)):
        part = [item for item in remaining if (item.source, item.split) == (source, split)]
        of = [item for item in everything if (item.source, item.split) == (source, split)]
        assert {item.label for item in part} == {0, 1}
        assert len(part) / len(of) == pytest.approx(share, abs=0.005)


def test_thinning_depends_on_the_names_alone():
    everything = units()
    remaining = {item.path for item in ingest.thin_out(everything, 0.3)}
    assert {item.path for item in ingest.thin_out(reversed(everything), 0.3)} == remaining
    assert remaining < {item.path for item in ingest.thin_out(everything, 0.6)}
    assert ingest.thin_out(everything, 1.0) == everything


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(DatasetError, match="share"):
        ingest.thin_out(units(), share)


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_material_has_no_picture_twice_across_labels_or_splits(shared_data):
    ingested = ingest.ingest(shared_data)
    assert len(ingested.items) + len(ingested.dropped) > 12_000
    assert len(ingested.dropped) < 10
