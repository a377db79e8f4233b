import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.batch.table import COLUMNS
from faceloupe.cli import main
from faceloupe.installation import ROOT
from tests.batch.conftest import read
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.report_json import report_json


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main.main([str(argument) for argument in ("batch", *arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def mixed(tmp_path):
    """Stills, a video, a ZIP with both, and unreadable files."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(GENERATED, folder / "=generated, 1.jpg")
    shutil.copy(PHOTOGRAPH, folder / "photo.png")
    shutil.copy(PHOTOGRAPH, folder / "same.png")
    with Image.open(PHOTOGRAPH) as image:
        image.convert("RGB").resize((400, 400)).save(folder / "smaller.jpg", quality=80)
    Image.new("RGB", (300, 300), "gray").save(folder / "gray.png")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "zero").touch()
    with Image.open(GENERATED) as image:
        write_clip(folder / "clip.mp4", [np.asarray(image.convert("RGB").resize((320, 320)))] * 20)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name in ("clip.mp4", "photo.png", "gray.png"):
            archive.write(folder / name, f"inner/{name}")
    return folder


@pytest.mark.slow
def test_a_batch_says_of_every_file_what_analyze_says(capsys, mixed, analyzer, settings, monkeypatch):
    tmp_path = mixed.parent
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "in", "--csv", "out.csv", "--json-dir", "reports", "--workers", "2")
    assert (code, err) == (0, "")
    assert "Files      11" in out
    rows = {row["path"]: row for row in read(tmp_path / "out.csv")}
    assert len(rows) == 11
    for path in sorted(mixed.iterdir()):
        if path.suffix == ".zip":
            continue
        row, report = rows[f"in/{path.name}"], report_json(analyze(path, analyzer, explain=False))
        assert row["outcome"] == report["outcome"]
        assert row["reason"] == report["reason"]
        assert row["media_type"] == report["evidence"]["media_type"]
        assert row["sha256"] == report["evidence"]["sha256"]
        for name in ("score", "log10_lr"):
            result = float(row[name]) if row[name] else None
            assert result == (None if report[name] is None else pytest.approx(report[name], abs=1e-5))
        assert row["faces"] == ("" if report["outcome"] == "error" else str(len(report["faces"])))
        assert (row["model_id"], row["weights_sha256"]) == (report["model"]["id"], report["model"]["weights_sha256"])
        stored = json.loads((tmp_path / "reports" / f"{row['sha256']}.json").read_text(encoding="utf-8"))
        assert (stored["outcome"], stored["score"]) == (
            report["outcome"],
            float(row["score"]) if row["score"] else None,
        )
    assert float(rows["in/clip.mp4"]["duration_s"]) > 0
    assert rows["in/photo.png"]["duplicate_of"] == rows["in/same.png"]["duplicate_of"] == "in/all.zip!inner/photo.png"
    assert rows["in/smaller.jpg"]["near_duplicate_of"] == "in/all.zip!inner/photo.png"
    assert rows["in/clip.mp4"]["duplicate_of"] == "in/all.zip!inner/clip.mp4"
    assert rows["in/=generated, 1.jpg"]["near_duplicate_of"] == ""


@pytest.mark.slow
def test_names_come_from_a_list_on_stdin_and_any_reader_of_csv_reads_them(tmp_path):
    names = ["c.jpg", "a\nb.jpg", "none.jpg", "=1+1.jpg", 'q"q.jpg', "a,b.jpg"]
    for name in names:
        if name != "none.jpg":
            (tmp_path / name).touch()
    command = [sys.executable, "-m", "faceloupe", "batch", "-", "--csv", "out.csv", "--workers", "1"]
    given = "\0".join(names).encode()
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        timeout=300,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.stderr == b""
    text = (tmp_path / "out.csv").read_bytes().decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == [*COLUMNS]
    assert [row[0] for row in rows] == ["'=1+1.jpg" if name == "=1+1.jpg" else name for name in names]
    assert [row[0] for row in pandas.read_csv(tmp_path / "out.csv").itertuples(index=False)] == [row[0] for row in rows]
    assert {row[3] for row in rows} == {"error"}
    assert "no file none.jpg" in rows[2][7]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.jpg", "--csv", "out.csv"], "no file or folder"),
        (["x.jpg", "--csv", "out.txt"], "must end in"),
        (["x.jpg", "--csv", "taken.csv"], "already exists"),
        (["x.jpg", "--csv", "taken.csv", "--resume"], "not a batch table"),
        (["x.jpg", "--csv", "out.csv", "--workers", "0"], "number of workers"),
        (["x.jpg", "--csv", "out.csv", "--model", "none"], "none"),
        (["x.jpg"], "--csv"),
        (["--csv", "out.csv"], "PATH"),
    ],
)
def test_bad_usage_is_reported_in_one_sentence_and_begins_nothing(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jpg").touch()
    (tmp_path / "taken.csv").write_text("mine")
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert (tmp_path / "taken.csv").read_text() == "mine"
    assert not (tmp_path / "out.csv").exists()


def test_a_table_states_its_effort_and_is_not_resumed_at_another(capsys, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    order = (tmp_path / "x.jpg", "--csv", tmp_path / "out.csv", "--workers", "1")
    assert run(capsys, *order, "--effort", "thorough")[0] == 0
    (row,) = read(tmp_path / "out.csv")
    assert (row["effort"], row["outcome"]) == ("thorough", "error")
    code, out, err = run(capsys, *order, "--resume", "--effort", "quick")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "(effort thorough)" in err
    assert "this is" in err
    assert run(capsys, *order, "--resume", "--effort", "thorough")[0] == 0


def test_a_folder_without_files_is_said_to_be_one(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    code, _, err = run(capsys, tmp_path / "in", "--csv", tmp_path / "out.csv")
    assert code == 0
    assert "no files" in err
    assert (tmp_path / "out.csv").read_text(encoding="utf-8-sig") == ",".join(COLUMNS) + "\n"
