"""Evaluation on a user's own folder."""

import csv
import json
import os
import shutil

import pytest
from PIL import Image

from faceloupe.cli.main import main
from faceloupe.config import EFFORTS
from faceloupe.errors import Cancelled, UsageError
from faceloupe.evaluation import labeled_folder
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH, skimage_picture


@pytest.fixture
def folder(tmp_path):
    """Two photographs (one person's subfolder), a cat without a face, a broken file; the generated portrait twice."""
    own = tmp_path / "own"
    (own / "real" / "person").mkdir(parents=True)
    (own / "fake").mkdir()
    shutil.copy(PHOTOGRAPH, own / "real" / "person" / PHOTOGRAPH.name)
    Image.open(PHOTOGRAPH).convert("RGB").save(own / "real" / "person" / "again.png")
    shutil.copy(skimage_picture("chelsea.png"), own / "real" / "cat.png")
    (own / "real" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    (own / "real" / ".hidden").write_text("no evidence")
    shutil.copy(GENERATED, own / "fake" / GENERATED.name)
    Image.open(GENERATED).convert("RGB").save(own / "fake" / "=again.png")
    return own


@pytest.fixture
def validation(folder, analyzer, settings):
    return labeled_folder.validate(folder, analyzer)


def test_every_file_is_accounted_for(validation):
    assert [file.path.name for file in validation.files if file.label == 1] == ["=again.png", GENERATED.name]
    assert {file.path.name for file in validation.files if not file.label} == {
        "again.png",
        PHOTOGRAPH.name,
        "cat.png",
        "broken.jpg",
    }
    assert validation.summary.unscored["real"] == labeled_folder.Unscored(not_applicable=1, error=1)
    assert (validation.measures.n_real, validation.measures.n_fake) == (2, 2)
    assert validation.summary.units == 3  # two pictures of one person's folder are one observation


def test_the_rates_follow_from_the_outcomes(validation):
    scored = validation.scored
    for key, label, outcome in (("fpr", 0, "manipulated"), ("fnr", 1, "authentic")):
        mine = [file for file in scored if file.label == label]
        expected = sum(file.outcome.value == outcome for file in mine) / len(mine)
        assert getattr(validation.measures, key).value == expected


def test_the_command_prints_a_table_and_writes_what_it_says(folder, tmp_path, capsys):
    assert main(["validate", str(folder), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "Authentic called manipulated" in shown.out
    assert "in real: 1 not applicable, 1 errors" in shown.out
    assert shown.err == ""
    text = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 6
    assert {row["label"] for row in rows} == {"real", "fake"}
    for name in ("roc.png", "reliability.png", "tippett.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size[0] > 300
    stored = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert main(["validate", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == stored
    assert main(["validate", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "not overwritten" in capsys.readouterr().err


def test_the_effort_is_named_in_the_result_and_in_the_table(folder, monkeypatch, capsys):
    monkeypatch.setitem(EFFORTS, "quick", OTHER_MODEL)
    monkeypatch.delenv("FACELOUPE_EFFORT")
    assert main(["validate", str(folder), "--effort", "quick", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["effort"], values["model"]["id"]) == ("quick", OTHER_MODEL)
    assert main(["validate", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["Effort", "standard"]


def test_the_evidence_is_not_touched(folder, analyzer, settings):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    labeled_folder.validate(folder, analyzer)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_error_rates_need_both_classes(folder, analyzer, settings):
    shutil.rmtree(folder / "fake")
    with pytest.raises(UsageError, match="fake contains no files"):
        labeled_folder.validate(folder, analyzer)
    (folder / "fake").mkdir()
    shutil.copy(skimage_picture("coffee.png"), folder / "fake")
    with pytest.raises(UsageError, match="No file in fake could be scored"):
        labeled_folder.validate(folder, analyzer)


def test_one_file_under_both_labels_is_refused(folder, analyzer, settings):
    shutil.copy(PHOTOGRAPH, folder / "fake" / "the-same.jpg")
    with pytest.raises(UsageError, match="same file with different labels"):
        labeled_folder.validate(folder, analyzer)


@pytest.mark.parametrize("arguments", [["validate", "nowhere"], ["validate"], ["validate", ".", "--model", "none"]])
def test_bad_usage_is_reported_in_one_sentence(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_copy_is_listed_and_not_counted_again(folder, analyzer, settings):
    shutil.copy(GENERATED, folder / "fake" / "copy.jpg")
    validation = labeled_folder.validate(folder, analyzer)
    assert validation.measures.n_fake == 2
    (copy,) = (file for file in validation.files if "counted there" in file.reason)
    assert copy.score is None


def test_linked_folders_hidden_files_and_odd_names_are_neither_lost_nor_fatal(folder, tmp_path):
    (folder / "real" / ".thumbnails").mkdir()
    (folder / "real" / ".thumbnails" / "x.jpg").write_bytes(b"x")
    assert not any(".thumbnails" in path.parts for path, _ in labeled_folder._listed(folder))
    odd = folder / "real" / os.fsdecode(b"\xff.jpg")
    odd.write_bytes(b"x")
    assert odd.relative_to(folder) in [path for path, _ in labeled_folder._listed(folder)]
    (folder / "real" / "anna").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="link to a folder"):
        labeled_folder._listed(folder)


def test_it_can_be_cancelled(folder, analyzer, settings):
    with pytest.raises(Cancelled):
        labeled_folder.validate(folder, analyzer, cancel=lambda: True)
