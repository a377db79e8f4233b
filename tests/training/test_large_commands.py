"""The commands of the large material, one after the other as the pipeline runs them, and the settings they read."""

import csv

import numpy as np
import pytest

from faceloupe.errors import DatasetError
from faceloupe.training import features, regions, settings, views
from faceloupe.training.__main__ import main
from faceloupe.training.choosing import Cap
from tests.training import large

PARAMS = """
recipes: {}
material:
  near_bits: 20
  caps: {default: {pictures: 5}, of_source: {own: {pictures: 9, person: 8}}}
  crops: [own, anna, bert]
  tight_only: [anna]
  treatments: {train: [as-is, light-1], val: ["512"], cross: ["512"]}
"""


@pytest.fixture
def sources(tmp_path, monkeypatch) -> large.Material:
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return large.make(tmp_path)


def run(name: str, *more: str, places: tuple[str, ...] = ("--data", "data", "--snapshots", "snapshots")) -> int:
    return main(["--work", "work", name, *places, *more])


def stand_in(path):
    return lambda crops: np.ones((len(crops), 2, 3), np.float32), (2, 3), "abc"


def test_the_stages_run_from_the_lists_to_the_features(sources, tmp_path, capsys, monkeypatch):
    assert run("snapshots") == 0
    assert "2 of 2 repositories have a snapshot" in capsys.readouterr().out
    with (tmp_path / "work" / "snapshots.csv").open(newline="") as stream:
        assert [row["repository"] for row in csv.DictReader(stream)] == ["anna/photos", "bert/made"]
    assert run("gather", "--workers", "1") == 0
    assert "train: 3 real, 2 fake, of 3 sources" in capsys.readouterr().out
    assert run("sheets", "--source", "anna") == 0
    sheets = {path.name for path in (tmp_path / "work" / "sheets").glob("*.jpg")}
    assert sheets == {f"anna-{split}-real.jpg" for split in ("train", "val", "cross")}
    assert run("regions", "--workers", "1") == 0
    assert "regions stored: 11" in capsys.readouterr().out
    monkeypatch.setattr(features, "load_encoder", stand_in)
    assert run("features", places=()) == 0
    assert "16 views" in capsys.readouterr().out
    stored = features.read(tmp_path / "work" / "features")
    assert set(stored.views) == {"tight/as-is", "tight/light-1", "tight/512"}
    assert set(stored.ids) == set(regions.read(tmp_path / "work"))


def test_without_snapshots_the_commands_say_so_and_go_on(sources, capsys):
    assert run("snapshots", places=("--data", "data")) == 0
    assert "0 of 2 repositories have a snapshot\n  none of https://github.com/anna/photos" in capsys.readouterr().out
    assert run("gather", "--workers", "1", places=("--data", "data")) == 0
    assert "No folder of snapshots was given" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["regions", "sheets", "features"])
def test_a_stage_before_its_time_says_what_to_run(sources, capsys, command):
    assert run(command, places=() if command == "features" else ("--data", "data")) == 2
    assert "run `gather` first" in capsys.readouterr().err


def test_the_settings_are_typed(sources):
    result = settings.read_material()
    assert result.near_bits == 20
    assert result.caps.of("anna") == Cap(5, Cap().person)
    assert result.caps.of("own") == Cap(9, 8)
    assert result.treatments == {"train": ("as-is", "light-1"), "val": ("512",), "cross": ("512",)}
    assert set(result.treatments["val"]) <= set(views.TIERS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nearbits": 2}, "no setting named nearbits"),
        ({"near_bits": "few"}, "near_bits must be int"),
        ({"caps": {"default": {"picture": 2}}}, "no setting named picture"),
        ({"caps": {"all": {}}}, r"material\.caps has no setting named all"),
        ({"caps": {"of_source": {"own": {"person": "one"}}}}, "person must be int"),
        ({"caps": []}, r"material\.caps must be a mapping"),
        ({"crops": "own"}, r"material\.crops must be a list of names"),
        ({"treatments": {"train": [512]}}, r"material\.treatments\.train must be a list of names"),
        ({"treatments": {"test": []}}, "no split named test"),
        ([], "material must be a mapping"),
    ],
)
def test_settings_that_do_not_fit_are_refused(values, message):
    with pytest.raises(DatasetError, match=message):
        settings.parse_material(values)


def test_a_parameter_file_without_the_large_material_gives_the_defaults(sources, tmp_path):
    (tmp_path / "params.yaml").write_text("recipes: {}")
    assert settings.read_material() == settings.MaterialSettings()
