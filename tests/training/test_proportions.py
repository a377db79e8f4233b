"""Fitting of the map that measures how far a picture is stretched, on made-up faces and on real ones."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from faceloupe.config import weights_folder
from faceloupe.errors import DatasetError
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.proportions import Proportions
from faceloupe.models.record import COMPONENTS
from faceloupe.training import proportions
from faceloupe.training.features import load_encoder
from faceloupe.training.material import Entry
from faceloupe.training.proportions import ProportionSettings, StretchedFace, choose, fit, judge, stretched
from faceloupe.training.snapshots import Snapshots
from tests.conftest import PORTRAIT

SETTINGS = ProportionSettings(sources=("studio", "nets"), pictures=3, decay=1e-6)


def entry(source: str, number: int, split: str = "train", path: str = "") -> Entry:
    return Entry(split, source, 0, "", "", "", "", "", path or f"{source}/{split}/{number}.jpg")


def faces(count: int, seed: int) -> list[StretchedFace]:
    """Made-up faces whose features depend linearly on the stretch, plus noise."""
    random = np.random.default_rng(seed)
    result = []
    for number in range(count):
        values = random.normal(size=(len(ROWS), WIDTH)).astype(np.float32)
        log_stretch = (0.0, math.log(0.7), -math.log(0.7))[number % 3]
        values[ROWS.index("mean 6"), :40] += 3 * log_stretch
        result.append(StretchedFace(("studio", "nets")[number % 2], log_stretch, values))
    return result


def test_each_source_has_at_most_the_pictures_that_the_settings_allow():
    entries = [entry(source, number) for source in ("studio", "nets", "other") for number in range(5)]
    chosen = choose(entries, SETTINGS, "train")
    assert sorted(picked.source for picked in chosen) == ["nets"] * 3 + ["studio"] * 3
    assert choose(list(reversed(entries)), SETTINGS, "train") == chosen


def test_held_out_pictures_are_measured_and_never_fitted():
    entries = [entry("other", 0, "cross"), entry("studio", 0, "train"), entry("studio", 1, "val")]
    assert [picked.split for picked in choose(entries, SETTINGS, "cross")] == ["cross"]
    assert [picked.split for picked in choose(entries, SETTINGS, "train")] == ["train"]


@pytest.mark.parametrize(("factor", "size"), [(0.5, (100, 100)), (2.0, (200, 50)), (1.0, (200, 100))])
def test_a_picture_is_stretched_by_shrinking_one_axis(factor, size):
    assert stretched(np.zeros((100, 200, 3), np.uint8), math.log(factor)).shape[1::-1] == size


def test_the_map_measures_faces_that_it_was_not_fitted_on():
    rows = judge(faces(120, seed=1), Proportions(fit(faces(600, seed=0), SETTINGS)), "val")
    total = {row.stretch: row for row in rows if row.source == "all"}
    assert {stretch: row.faces for stretch, row in total.items()} == {0.7: 40, 1.0: 40, 1.429: 40}
    assert total[0.7].median == pytest.approx(0.7, rel=0.1)
    assert total[0.7].beyond >= 36
    assert total[1.0].beyond <= 4
    assert sum(row.faces for row in rows if row.source != "all") == 120


def test_without_faces_nothing_is_fitted():
    with pytest.raises(DatasetError, match="No face"):
        fit([], SETTINGS)


def test_the_stage_writes_weights_with_a_record_and_a_table(tmp_path):
    def find(entries, factors, report):
        assert {picked.split for picked in entries} <= {"train", "val", "cross"}
        return iter(faces(3 * len(entries), seed=len(entries)))

    entries = [entry("studio", number, split) for split in ("train", "val") for number in range(3)]
    record, rows = proportions.make(entries, SETTINGS, find=find, target=tmp_path / "made", report=print)
    assert Proportions.load((tmp_path / "made" / record.weights_file).read_bytes())
    assert (tmp_path / "made" / COMPONENTS / f"{record.id}.json").read_text() == record.to_json()
    proportions.write_rows(rows, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as stream:
        assert [row["split"] for row in csv.DictReader(stream)] == ["val"] * len(rows)


@pytest.mark.slow
def test_a_picture_is_measured_as_it_is_and_stretched(tmp_path):
    with Image.open(PORTRAIT) as opened:
        opened.convert("RGB").resize((512, 512)).save(tmp_path / "face.png")
    encode, _, _ = load_encoder(weights_folder() / "clip-vit-b16.safetensors")
    entries = [entry("studio", 0, path="face.png"), entry("studio", 1, path="face.png")]
    with Snapshots(None) as readers:
        faces_of_pictures = proportions.stretched_faces(
            entries, tmp_path, readers, encode=encode, factors=lambda _: (0.0, -0.3), report=print
        )
        measured = [(face.log_stretch, face.features.shape) for face in faces_of_pictures]
    assert measured == [(0.0, (len(ROWS), WIDTH)), (-0.3, (len(ROWS), WIDTH))] * 2
