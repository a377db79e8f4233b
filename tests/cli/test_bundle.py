"""``case export``, ``verify`` and ``reproduce`` over the real pipeline."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from PIL import Image

from faceloupe.bundle import format
from faceloupe.bundle import reproduce as work
from faceloupe.bundle.signing import public_pem, signing_key
from faceloupe.cases.store import CaseStore
from faceloupe.cli.main import main
from faceloupe.config import EFFORTS, Settings, data_folder
from faceloupe.report.document.locales import LANGUAGES
from tests.bundle.conftest import edited, zipped
from tests.cli.test_main import run
from tests.clips import write_clip
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH


@pytest.fixture
def in_use(made, monkeypatch):
    """The small bundle, its store in use."""
    monkeypatch.setenv("FACELOUPE_DATA", str(made.store.folder))
    return made


def test_samples_and_a_clip_come_back_with_the_same_scores(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    portrait = np.asarray(Image.open(GENERATED).convert("RGB").resize((480, 480)))
    clip = write_clip(tmp_path / "clip.mp4", [np.roll(portrait, number, axis=1) for number in range(12)], fps=6)
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    case = run(capsys, "case", "create", "Doe v. Roe", "--examiner", "Ann")[1].strip()
    assert run(capsys, "case", "add", case, GENERATED, PHOTOGRAPH, clip, text, "--examiner", "Ann")[0] == 0
    whole, bare = tmp_path / "with.zip", tmp_path / "without.zip"
    code, out, err = run(capsys, "case", "export", case, "--out", whole, "--with-evidence", "--examiner", "Ann")
    assert (code, err, out.splitlines()[0].split()) == (0, "", ["Bundle", str(whole)])
    assert run(capsys, "case", "export", case, "--out", bare, "--examiner", "Ann", "--language", "de")[0] == 0
    (tmp_path / "key.pem").write_bytes(public_pem(signing_key(data_folder()).public_key()))
    shutil.rmtree(tmp_path / "data")  # a bundle is checked without the store

    code, out, err = run(capsys, "verify", whole, "--key", tmp_path / "key.pem")
    assert (code, err, len(out.splitlines())) == (0, "", 6)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    code, out, err = run(capsys, "reproduce", whole)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "Largest difference over 4 of 4 examined items: score 0, logit 0"
    assert out.count("differs by 0 in score, 0 in logit") == 3
    assert out.count("same outcome, no score to compare") == 1
    assert list(temporary.iterdir()) == []

    code, out, err = run(capsys, "reproduce", bare)
    assert (code, err.count("\n"), err.count("Its evidence is neither in the bundle")) == (1, 4, 4)
    (tmp_path / "evidence").mkdir()
    shutil.copy(clip, tmp_path / "evidence" / "under another name")
    code, out, err = run(capsys, "reproduce", bare, "--evidence", tmp_path / "evidence")
    assert (code, err.count("\n")) == (1, 3)
    assert out.splitlines()[-1] == "Largest difference over 1 of 4 examined items: score 0, logit 0"


def altered_report(made, change):
    """The small bundle, as if its first report had been another."""
    (run,) = json.loads(made.members[format.ITEMS].splitlines()[0])["runs"]
    members = edited(made.members, format.report_name(run["report_sha256"]), change)
    return next(iter(work.reproduce(zipped(members.items()))))


def test_a_bundle_of_format_1_comes_back_with_its_scores(capsys, made_in_format_1):
    assert run(capsys, "verify", made_in_format_1.path)[0] == 0
    code, out, err = run(capsys, "reproduce", made_in_format_1.path)
    assert (code, err) == (0, "")
    summary, score = re.fullmatch(r"(Largest difference .*): score (.*), logit .*", out.splitlines()[-1]).groups()
    assert summary == "Largest difference over 2 of 2 examined items"
    assert float(score) < 1e-5  # another processor rounds differently


def test_a_version_that_differs_is_named(made):
    reproduction = altered_report(made, lambda report: report["tool"]["libraries"].update(torch="1.0"))
    assert any(text.startswith("torch 1.0, now ") for text in reproduction.versions)
    assert (reproduction.score_difference, reproduction.problem) == (0.0, "")
    reproduction = altered_report(made, lambda report: report["model"].update(record_sha256="0" * 64))
    assert any(text.startswith("model record_sha256 000") for text in reproduction.versions)


@pytest.mark.parametrize("stated", ["standard", None, "not stated"])
def test_the_model_of_a_report_scores_again_whatever_its_effort_stands_for_by_now(made, monkeypatch, stated):
    then = Settings(effort="quick").model_id
    for effort in ("quick", "standard"):
        monkeypatch.setitem(EFFORTS, effort, OTHER_MODEL)

    def older(report):
        assert report["settings"]["model"] == then
        report["settings"]["effort"] = stated
        if stated == "not stated":  # as in reports of version 0.4.0
            del report["settings"]["effort"]

    assert Settings(effort="quick").model_id == OTHER_MODEL != then
    reproduction = altered_report(made, older)
    assert (reproduction.problem, reproduction.score_difference) == ("", 0.0)
    assert not any(text.startswith("model ") for text in reproduction.versions)


def test_a_score_that_differs_is_a_problem_beyond_the_tolerance_alone(made):
    for offset, good in ((0.9e-3, True), (1.1e-3, False), (-1.1e-3, False)):

        def shift(report, offset=offset):
            report["faces"][0]["score"] += offset

        reproduction = altered_report(made, shift)
        assert reproduction.score_difference == pytest.approx(abs(offset))
        assert (reproduction.problem == "") == good


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: report.update(outcome="error"), "Its outcome was error"),
        (lambda report: report["faces"].clear(), "Other faces"),
        (lambda report: report["faces"][0].update(score=None), "outcome of one of its faces"),
        (lambda report: report["settings"].update(model="no-such-model"), "no-such-model"),
        (lambda report: report["settings"].update(model=""), "settings"),
        (lambda report: report["settings"].update(effort="heroic"), "heroic"),
        (lambda report: report["settings"].update(frames="many"), "settings"),
        (lambda report: report["settings"].clear(), "settings"),
    ],
    ids=range(8),
)
def test_what_cannot_be_compared_is_said(made, change, message):
    assert message in altered_report(made, change).problem


def test_an_altered_bundle_is_not_reproduced(capsys, in_use, tmp_path):
    path = tmp_path / "altered.zip"
    path.write_bytes(zipped((in_use.members | {format.TABLE: b"x"}).items()).getvalue())
    for command in ("verify", "reproduce"):
        code, out, err = run(capsys, command, path)
        assert (code, "Largest" in out) == (1, False)
        problem, *unchecked = err.splitlines()
        assert format.TABLE in problem
        assert ["not checked: " in line for line in unchecked] == [True, True]


def test_the_limits_of_this_machine_hold_whatever_a_bundle_asks_for(capsys, in_use, monkeypatch):
    monkeypatch.setenv("FACELOUPE_MAX_PIXELS", "1000")
    code, _, err = run(capsys, "reproduce", in_use.path)
    assert code == 1
    assert "and is now error" in err


def test_a_bundle_without_runs_is_said_to_hold_nothing_to_compare(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    case = run(capsys, "case", "create", "Empty")[1].strip()
    assert run(capsys, "case", "export", case, "--out", tmp_path / "b.zip")[0] == 0
    code, out, _ = run(capsys, "reproduce", tmp_path / "b.zip")
    assert (code, out.splitlines()[-1]) == (
        0,
        "Largest difference over 0 of 0 examined items: nothing to compare",
    )


def test_a_bundle_that_is_no_regular_file_is_named(capsys, in_use, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR)  # so that neither end waits for the other to be opened
    code, _, err = run(capsys, "verify", tmp_path / "pipe")
    os.close(both)
    assert code == 2
    assert "not a regular file" in err


@pytest.mark.slow
def test_a_failed_check_is_told_by_the_exit_code_also_where_nobody_reads(in_use, tmp_path):
    path = tmp_path / "altered.zip"
    path.write_bytes(zipped((in_use.members | {format.TABLE: b"x"}).items()).getvalue())
    for bundle, code in ((in_use.path, 0), (path, 1)):
        command = f'set -o pipefail; "{sys.executable}" -m faceloupe verify "{bundle}" | true'
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "gone.zip"],
        ["verify", "."],
        ["verify", GENERATED],
        ["verify", "BUNDLE", "--key", "gone.pem"],
        ["verify", "BUNDLE", "--key", GENERATED],
        ["reproduce", "gone.zip"],
        ["reproduce", "BUNDLE", "--evidence", "gone"],
        ["case", "export", "CASE"],
        ["case", "export", "nope", "--out", "new.zip"],
        ["case", "export", "CASE", "--out", "BUNDLE"],
        ["case", "export", "CASE", "--out", "new.zip", "--language", "xx"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_bad_usage_is_reported_in_one_sentence(capsys, in_use, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    named = {"CASE": in_use.case_id, "BUNDLE": in_use.path}
    code, _, err = run(capsys, *(named.get(argument, argument) for argument in arguments))
    assert (code, err.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_language_of_reports(capsys):
    assert main(["case", "export", "--help"]) == 0
    assert f"language of the report: {', '.join(LANGUAGES)} (default: en)" in " ".join(capsys.readouterr().out.split())


def test_the_case_is_named_before_a_key_is_made(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    CaseStore(data_folder())
    assert run(capsys, "case", "export", "nope", "--out", tmp_path / "b.zip")[0] == 2
    assert not (tmp_path / "data" / "signing_key.pem").exists()
