import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from faceloupe.cases.store import CaseStore
from faceloupe.cli import case as case_command
from faceloupe.config import EFFORTS, data_folder
from faceloupe.errors import WeightsError
from tests.cases.conftest import report_of
from tests.cli.test_main import run
from tests.clips import write_clip
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty data folder, in use."""
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def case(capsys) -> str:
    return run(capsys, "case", "create", "Doe v. Roe", "--examiner", "Ann")[1].strip()


def add(capsys, case, *files) -> list[str]:
    """File without analysis, and return the hashes."""
    code, out, err = run(capsys, "case", "add", case, *files, "--no-analysis", "--examiner", "Clerk")
    assert (code, err) == (0, "")
    return [line.split()[0] for line in out.splitlines()]


def give_result(case, sha256) -> None:
    """A run, as the pipeline would file it."""
    CaseStore(data_folder()).runs.add(case, sha256, report_of(sha256), {}, actor="Clerk")


def test_create_prints_the_id_alone(capsys):
    code, out, err = run(capsys, "case", "create", "Doe v. Roe")
    assert (code, err) == (0, "")
    assert len(out.strip()) == 12
    assert out == f"{int(out, 16):012x}\n"


def test_a_case_lives_its_whole_life_on_the_command_line(capsys, tmp_path, case):
    odd = tmp_path / "notes.txt"
    odd.write_text("not a picture")
    code, out, err = run(capsys, "case", "add", case, GENERATED, odd, "--examiner", "Ann")
    assert (code, err) == (0, "")
    sha256, error = (line.split()[0] for line in out.splitlines())
    assert [line.split()[1:] for line in out.splitlines()] == [["manipulated", GENERATED.name], ["error", odd.name]]

    view = ("--reason", "Seen", "--confidence", "medium", "--examiner", "Ann")
    unchecked = "The name {} was not checked: the command line takes names as they are typed.\n"
    for arguments in (
        ("note", case, "Looks <b>odd</b>", "--author", "Ann", "--item", sha256[:8]),
        ("note", case, "First look", "--author", "Ann"),
        ("decide", case, "--item", sha256[:8], "--outcome", "manipulated", *view),
        ("decide", case, "--item", error, "--outcome", "not_applicable", *view),
        ("sign-off", case, "--item", sha256[:8], "--reviewer", "Bob"),
        ("sign-off", case, "--reviewer", "Bob"),
    ):
        head = CaseStore(data_folder()).log.head
        before = head(case)
        messages = f"Recorded; the log of case {case} has {before.seq + 1} entries, head {{}}\n"
        messages += unchecked.format("Bob" if "--reviewer" in arguments else "Ann")
        code, out, err = run(capsys, "case", *arguments)
        assert (code, out, err) == (0, messages.format(head(case).sha256), "")
        assert head(case) != before

    code, out, err = run(capsys, "case", "show", case, "--examiner", "Ann")
    assert (code, err) == (0, "")
    assert "First look" in out
    assert "Names     not checked, as they were typed" in out
    (line,) = (line for line in out.splitlines() if line.startswith(sha256[:12]))
    assert line.split()[1::2] == ["manipulated", "manipulated", GENERATED.name]
    code, out, err = run(capsys, "case", "show", case, "--json", "--examiner", "Ann")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["items"][0]["runs"][0]["report"]["evidence"]["sha256"] == sha256
    assert report["items"][0]["runs"][0]["pictures"]
    assert report["items"][0]["decisions"][0]["score_seen_before"]
    assert report["items"][1]["runs"][0]["report"]["outcome"] == "error"
    assert report["log"]["verified"]

    assert run(capsys, "case", "list")[1].splitlines()[1].startswith(case)
    code, out, err = run(capsys, "case", "verify-log")
    assert (code, err, len(out.splitlines())) == (0, "", 1)
    assert out.startswith(f"{case}: ")
    assert CaseStore(data_folder()).items.unfinished() == ()


def test_a_file_that_cannot_be_read_is_said_and_logged_and_the_others_are_filed(capsys, tmp_path, case):
    code, out, err = run(capsys, "case", "add", case, tmp_path / "gone.jpg", PHOTOGRAPH, tmp_path, "--no-analysis")
    assert (code, err.count("\n")) == (2, 2)
    assert "gone.jpg was not filed" in err
    assert [line.split()[-1] for line in out.splitlines()] == [PHOTOGRAPH.name]
    logged = [entry.action for entry in CaseStore(data_folder()).log.entries(case)]
    assert logged == ["case created", "intake failed", "intake begun", "intake", "intake failed"]


def test_without_weights_the_evidence_is_filed_all_the_same(capsys, case, monkeypatch):
    def missing(_settings):
        raise WeightsError("The weights are missing; restore them.")

    monkeypatch.setattr(case_command, "_networks", missing)
    code, out, err = run(capsys, "case", "add", case, GENERATED)
    assert (code, err) == (2, "faceloupe: The weights are missing; restore them.\n")
    assert out.split()[1:] == ["not", "analyzed", GENERATED.name]


def test_evidence_is_analyzed_with_the_effort_that_was_named(capsys, case, monkeypatch):
    monkeypatch.setenv("FACELOUPE_EFFORT", "thorough")
    monkeypatch.setitem(EFFORTS, "quick", OTHER_MODEL)
    assert run(capsys, "case", "add", case, PHOTOGRAPH, "--effort", "quick")[0] == 0
    assert run(capsys, "case", "add", case, GENERATED)[0] == 0
    store, scored = CaseStore(data_folder()), {}
    for item in store.items.page(case).items:
        (filed,) = store.runs.of_item(case, item.sha256)
        report = json.loads(store.runs.report_text(filed.id))
        scored[item.name] = report["settings"]["effort"], report["model"]["id"]
    assert scored == {
        PHOTOGRAPH.name: ("quick", OTHER_MODEL),
        GENERATED.name: ("thorough", EFFORTS["thorough"]),
    }


def test_what_was_filed_and_not_analyzed_is_told_by_the_exit_code(capsys, tmp_path, case, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5, fps=5)
    monkeypatch.setenv("FACELOUPE_FROM_S", "100")
    code, out, err = run(capsys, "case", "add", case, clip)
    assert (code, err.count("\n")) == (2, 1)
    assert "was filed but not analyzed" in err
    assert out.split()[1:] == ["not", "analyzed", "clip.mp4"]
    monkeypatch.setenv("FACELOUPE_DEVICE", "abacus")
    code, out, _ = run(capsys, "case", "add", case, GENERATED)
    assert (code, out.split()[1:]) == (2, ["not", "analyzed", GENERATED.name])


def test_a_blind_case_hides_the_result_until_it_is_decided(capsys):
    case = run(capsys, "case", "create", "Blind", "--examiner", "Ann", "--blind")[1].strip()
    (sha256,) = add(capsys, case, PHOTOGRAPH)
    give_result(case, sha256)
    code, out, err = run(capsys, "case", "show", case, "--examiner", "Ann")
    assert (code, err.count("\n")) == (0, 1)
    assert "hidden" in out
    assert "manipulated" not in out
    code, out, err = run(capsys, "case", "show", case, "--json", "--examiner", "Ann")
    assert (code, err.count("\n")) == (0, 1)
    assert "manipulated" not in out
    decision = ("--outcome", "authentic", "--reason", "No trace", "--confidence", "low", "--examiner", "Ann")
    assert run(capsys, "case", "decide", case, "--item", sha256, *decision)[0] == 0
    code, out, err = run(capsys, "case", "show", case, "--examiner", "Ann")
    assert (code, err) == (0, "")
    assert "manipulated" in out


def test_to_show_a_case_is_to_have_seen_its_results(capsys, case):
    (sha256,) = add(capsys, case, PHOTOGRAPH)
    give_result(case, sha256)
    store = CaseStore(data_folder())
    for _ in range(2):
        run(capsys, "case", "show", case, "--examiner", "Bob")
    assert [entry.actor for entry in store.log.entries(case) if entry.action == "score viewed"] == ["Bob"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["case"],
        ["case", "create"],
        ["case", "create", " "],
        ["case", "show", "nope"],
        ["case", "add", "nope", PHOTOGRAPH, "--no-analysis"],
        ["case", "note", "nope", "text", "--author", "Ann"],
        ["case", "verify-log", "nope"],
        ["case", "note", "CASE", "", "--author", "Ann"],
        ["case", "note", "CASE", "text", "--author", "Ann", "--item", "abcd"],
        ["case", "note", "CASE", "text"],
        ["case", "sign-off", "CASE", "--reviewer", "ANN"],
        ["case", "add", "CASE"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:4])),
)
def test_bad_usage_is_reported_in_one_sentence(capsys, case, arguments):
    code, out, err = run(capsys, *(case if argument == "CASE" else argument for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_wrong_word_is_named(capsys, case):
    (sha256,) = add(capsys, case, PHOTOGRAPH)
    rest = ("--reason", "r", "--confidence", "low", "--examiner", "Ann")
    code, out, err = run(capsys, "case", "decide", case, "--item", sha256, "--outcome", "fake", *rest)
    assert (code, out) == (2, "")
    assert "manipulated, authentic, inconclusive, not_applicable, error" in err


def test_a_broken_log_fails_the_check_and_the_others_pass(capsys, folder, case):
    other = run(capsys, "case", "create", "Other")[1].strip()
    with closing(sqlite3.connect(folder / "cases.sqlite", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER log_no_update")
        connection.execute("UPDATE log SET actor = 'Mallory' WHERE chain = ?", (case,))
    code, out, err = run(capsys, "case", "verify-log")
    assert (code, out.partition(":")[0]) == (1, other)
    assert err == (
        f"faceloupe: The log of case {case} is broken: Entry 1 was edited: its content does not match its hash.\n"
    )
    assert run(capsys, "case", "verify-log", case)[0] == 1
    assert run(capsys, "case", "verify-log", other)[0] == 0


def test_no_case_yet_is_reported(capsys):
    assert run(capsys, "case", "list") == (
        0,
        "There are no cases yet; create one with `faceloupe case create NAME`.\n",
        "",
    )
    assert run(capsys, "case", "verify-log") == (0, "", "")


def test_a_data_folder_that_cannot_be_used_is_reported_in_one_sentence(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "file"))
    code, out, err = run(capsys, "case", "list")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_data_folder_is_the_users_own_where_none_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FACELOUPE_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg" / "faceloupe"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "faceloupe"


def test_a_file_may_go_once_it_is_filed(capsys, tmp_path, case):
    shutil.copy(PHOTOGRAPH, tmp_path / "copy.png")
    (sha256,) = add(capsys, case, tmp_path / "copy.png")
    (tmp_path / "copy.png").unlink()
    with CaseStore(data_folder()).items.open_evidence(sha256).open() as stream:
        assert stream.read() == PHOTOGRAPH.read_bytes()


@pytest.mark.parametrize("options", [("--no-analysis",), ()])
def test_where_it_cannot_be_told_what_a_file_holds_besides_its_picture_this_is_reported(
    capsys, tmp_path, case, options
):
    (tmp_path / "notes.jpg").write_text("no picture")
    code, out, err = run(capsys, "case", "add", case, tmp_path / "notes.jpg", "--embedded", *options)
    assert (code, out.count("\n"), err.count("\n")) == (2, 1, 1)  # the file itself is filed
    assert "What notes.jpg holds besides its picture was not filed: The content is not an image" in err
    code, out, err = run(capsys, "case", "add", case, tmp_path / "gone.jpg", "--embedded", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_what_a_file_holds_besides_its_picture_is_filed_as_an_item_that_states_its_origin(capsys, tmp_path, case):
    clip = write_clip(tmp_path / "clip.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3).read_bytes()
    motion_photo, start = tmp_path / "motion.jpg", GENERATED.stat().st_size
    motion_photo.write_bytes(GENERATED.read_bytes() + clip)
    whole, own = add(capsys, case, motion_photo, "--embedded")
    store = CaseStore(data_folder())
    assert [item.name for item in store.items.page(case).items] == ["motion.jpg", f"motion.jpg!{start}"]
    assert store.items.open_evidence(own).evidence.size_bytes == len(clip)
    (note,) = store.reviews.notes(case, own)
    assert f"Taken out of motion.jpg (SHA-256 {whole}): a video (MP4)" in note.text
    assert f"from byte {start:,}" in note.text
