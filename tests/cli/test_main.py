import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from faceloupe.analysis import pipeline
from faceloupe.api import Analyzer
from faceloupe.cli import main
from faceloupe.config import DEFAULT_MODEL, EFFORTS, QUICK_MODEL, weights_folder
from faceloupe.errors import EvidenceError, UsageError
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH
from tests.media.test_image import png_header


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_json_is_one_document_and_nothing_else(capsys):
    code, out, err = run(capsys, "analyze", GENERATED, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["evidence"]["name"] == GENERATED.name


def test_the_table_shows_the_reports_numbers(capsys):
    report = json.loads(run(capsys, "analyze", GENERATED, "--json")[1])
    code, out, err = run(capsys, "analyze", GENERATED)
    assert (code, err) == (0, "")
    assert report["evidence"]["sha256"] in out
    assert report["outcome"].replace("_", " ") in out
    assert f"{report['score']:.2f}" in out


@pytest.fixture
def other_quick(monkeypatch):
    """Give the effort ``quick`` its own model."""
    monkeypatch.setitem(EFFORTS, "quick", OTHER_MODEL)
    monkeypatch.delenv("FACELOUPE_EFFORT")


@pytest.mark.parametrize(
    ("options", "effort", "model"),
    [
        ((), "standard", DEFAULT_MODEL),
        (("--effort", "quick"), "quick", OTHER_MODEL),
        (("--model", OTHER_MODEL), None, OTHER_MODEL),
        (("--effort", "quick", "--model", OTHER_MODEL), "quick", OTHER_MODEL),
    ],
    ids=["neither", "effort", "model", "both"],
)
def test_an_effort_or_a_model_says_what_scores(capsys, other_quick, options, effort, model):
    report = json.loads(run(capsys, "analyze", GENERATED, "--json", *options)[1])
    assert (report["settings"]["effort"], report["settings"]["model"]) == (effort, model)
    assert report["model"]["id"] == model
    lines = dict(line.split(maxsplit=1) for line in run(capsys, "analyze", GENERATED, *options)[1].splitlines()[:5])
    assert lines["Effort"] == (effort or "none (a model was named)")
    assert lines["Model"].startswith(f"{model} ")


@pytest.mark.parametrize(
    ("options", "expected_text"),
    [
        (("--effort", "fast"), "invalid choice: 'fast'"),
        (("--effort", "standard", "--model", OTHER_MODEL), f"not {OTHER_MODEL}; name one of the two."),
        (("--model", ""), "a model id was expected"),
    ],
    ids=["unknown", "at odds", "empty"],
)
@pytest.mark.parametrize("command", ["analyze", "batch --csv /dev/null/out.csv", "validate"])
def test_an_effort_that_is_impossible_is_reported_in_one_sentence(capsys, command, options, expected_text):
    code, out, err = run(capsys, *command.split(), GENERATED, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected_text in err


def test_an_unknown_effort_of_the_environment_is_reported_in_one_sentence(capsys, monkeypatch):
    monkeypatch.setenv("FACELOUPE_EFFORT", "fast")
    code, out, err = run(capsys, "analyze", GENERATED)
    assert (code, out) == (2, "")
    assert err == "faceloupe: The effort must be quick, standard or thorough, not 'fast'.\n"


@pytest.mark.parametrize("command", ["analyze", "batch", "validate", "case add"])
def test_the_help_names_the_efforts_and_the_default(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    texts = " ".join(out.split())
    assert "--effort {quick,standard,thorough}" in texts
    assert "(default: standard)" in texts


def test_out_writes_report_and_heatmaps(capsys, tmp_path):
    code, out, _ = run(capsys, "analyze", GENERATED, "--json", "--out", tmp_path / "case 1")
    assert code == 0
    assert json.loads((tmp_path / "case 1" / "report.json").read_text(encoding="utf-8")) == json.loads(out)
    assert (tmp_path / "case 1" / "heatmap.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "expected_text"),
    [
        (["--frames", "4"], "--frames can only be used with videos"),
        (["--from", "0", "--to", "2"], "--from, --to can only be used with videos"),
    ],
)
def test_a_still_has_no_stretch_and_no_frames_to_choose(capsys, options, expected_text):
    code, out, err = run(capsys, "analyze", GENERATED, "--json", *options)
    assert (code, out) == (2, "")
    assert err == f"faceloupe: {GENERATED.name} is an image (JPEG); {expected_text}.\n"


def test_results_are_never_written_over_the_evidence(capsys, tmp_path):
    evidence = tmp_path / "heatmap.png"
    shutil.copy(PHOTOGRAPH, evidence)
    before = evidence.read_bytes()
    code, out, err = run(capsys, "analyze", evidence, "--json", "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "not overwritten" in err
    assert evidence.read_bytes() == before
    assert json.loads(out)["evidence"]["name"] == evidence.name  # what was found is not lost


def test_a_folder_with_a_report_is_refused_before_the_work(capsys, tmp_path, monkeypatch, analyzer):
    (tmp_path / "report.json").write_text("{}")
    monkeypatch.setattr(pipeline, "analyze", None)
    code, out, err = run(capsys, "analyze", GENERATED, "--out", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(UsageError, match="not overwritten"):
        Analyzer(settings=analyzer.settings).analyze(GENERATED, out=tmp_path)
    assert (tmp_path / "report.json").read_text() == "{}"


def test_spaces_and_foreign_letters_in_the_path(capsys, tmp_path):
    path = tmp_path / "Ähnlich wie früher" / "фото 顔 1.jpg"
    path.parent.mkdir()
    shutil.copy(GENERATED, path)
    code, out, _ = run(capsys, "analyze", path, "--json")
    assert code == 0
    assert json.loads(out)["evidence"]["name"] == path.name


def bad_inputs(folder: Path) -> dict[str, Path]:
    (folder / "folder").mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "truncated.jpg").write_bytes(GENERATED.read_bytes()[:-9000])
    (folder / "text.jpg").write_bytes(b"not a picture\n")
    (folder / "bomb.png").write_bytes(png_header(200_000, 200_000))
    names = ("missing.jpg", "folder", "empty.png", "truncated.jpg", "text.jpg", "bomb.png")
    return {name: folder / name for name in names}


@pytest.mark.parametrize("name", ["missing.jpg", "folder", "empty.png", "truncated.jpg", "text.jpg", "bomb.png"])
def test_a_bad_input_is_reported_in_one_sentence_and_exit_code_2(capsys, tmp_path, name):
    path = bad_inputs(tmp_path)[name]
    before = path.read_bytes() if path.is_file() else None
    code, out, err = run(capsys, "analyze", path, "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("faceloupe: ")
    assert name.partition(".")[0] in err
    if before is None:
        assert out == ""
    else:
        assert json.loads(out)["outcome"] == "error"
        assert path.read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["analyze"], ["analyse", "x"], ["analyze", "x", "--wrong"]])
def test_bad_usage_is_reported_in_one_sentence(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder that nobody may write to")
@pytest.mark.parametrize("folder", ["/proc/faceloupe", "file/inside"])
def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    target = Path(folder) if folder.startswith("/") else tmp_path / folder
    code, out, err = run(capsys, "analyze", GENERATED, "--json", "--out", target)
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err
    assert json.loads(out)["evidence"]["name"] == GENERATED.name  # what was found is not lost


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_named(capsys, tmp_path):
    tmp_path.chmod(0o500)
    code, _, err = run(capsys, "analyze", GENERATED, "--out", tmp_path)
    assert code == 2
    assert "cannot be written" in err


@pytest.mark.parametrize("damage", ["missing", "corrupt", "no record", "other architecture"])
def test_without_verified_weights_nothing_is_scored(capsys, tmp_path, monkeypatch, damage):
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder(), folder)
    path = folder / f"{QUICK_MODEL}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "corrupt":
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "no record":
        (folder / f"{QUICK_MODEL}.json").unlink()
    else:
        save_file({"layer.weight": torch.zeros(3)}, path)
        record = folder / f"{QUICK_MODEL}.json"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        record.write_text(json.dumps(json.loads(record.read_text()) | {"weights_sha256": digest}))
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(folder))
    code, out, err = run(capsys, "analyze", GENERATED, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "nothing can be scored; " in err
    assert "restore the file from the repository" in err or "restore it from the repository" in err


def test_a_setting_that_is_no_number_is_named(capsys, monkeypatch):
    monkeypatch.setenv("FACELOUPE_MAX_PIXELS", "many")
    code, _, err = run(capsys, "analyze", GENERATED)
    assert code == 2
    assert "FACELOUPE_MAX_PIXELS" in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_PIXELS", "0"),
        ("DETECTION_LONG_SIDE", "-5"),
        ("SMALLEST_SOUGHT_PX", "100000"),
        ("DETECTION_CONFIDENCE", "nan"),
        ("DEVICE", "abacus"),
    ],
)
def test_a_setting_out_of_range_is_reported_in_one_sentence(capsys, monkeypatch, name, value):
    monkeypatch.setenv(f"FACELOUPE_{name}", value)
    code, out, err = run(capsys, "analyze", GENERATED, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_limit_on_pixels_is_a_setting(capsys, monkeypatch):
    monkeypatch.setenv("FACELOUPE_MAX_PIXELS", "1000")
    code, out, _ = run(capsys, "analyze", GENERATED, "--json")
    assert code == 2
    assert "limit is 1,000 pixels" in json.loads(out)["reason"]


def test_the_installed_command_and_the_module_start():
    for command in ([Path(sys.executable).parent / "faceloupe"], [sys.executable, "-m", "faceloupe"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith("FaceLoupe ")


def test_names_with_line_breaks_stay_on_one_line(capsys, tmp_path):
    for arguments in (["analyze", tmp_path / "x\ny.jpg"], ["analyze", GENERATED, "--b\nad"]):
        code, out, err = run(capsys, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", GENERATED, "--out", ""),
        ("lenses", GENERATED, "--out", ""),
        ("batch", GENERATED, "--csv", "t.csv", "--json-dir", ""),
        ("validate", "", "--out", "x"),
        ("reproduce", "b.zip", "--evidence", ""),
    ],
)
def test_an_empty_folder_name_is_refused(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)  # which the empty name would mean
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a folder was expected" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "code", "lines"),
    [(">&-", 0, 0), ("2>&-", 0, 0), (">/dev/full", 2, 1), ("| true", 0, 0)],
    ids=["no stdout", "no stderr", "full disk", "closed pipe"],
)
def test_lost_output_never_ends_in_a_trace(redirection, code, lines):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = f'set -o pipefail; "{sys.executable}" -m faceloupe analyze "{GENERATED}" --json {redirection}'
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, lines)


def test_odd_metadata_puts_nothing_on_stderr(capsys, tmp_path):
    path = tmp_path / "odd.jpg"
    Image.open(GENERATED).resize((300, 300)).save(path, exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff broken")
    code, _, err = run(capsys, "analyze", path, "--json")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("problem", [EvidenceError("It is cut."), KeyboardInterrupt(), RuntimeError()])
def test_progress_on_a_terminal_gives_way_to_what_ended_the_work(capsys, monkeypatch, problem):
    def analyze(*_, progress, **__):
        progress("Finding faces", 0.5)
        raise problem

    monkeypatch.setattr("faceloupe.analysis.pipeline.analyze", analyze)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, _, err = run(capsys, "analyze", GENERATED)
    before, _, after = err.rpartition("\r\033[K")
    assert code != 0
    assert before.endswith(" 50%  Finding faces")
    assert after.startswith("faceloupe: ")
