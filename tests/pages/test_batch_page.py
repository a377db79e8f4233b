"""The page Batch, driven as a user would, without a browser."""

import io
import time

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.cases.audit_log import Action
from faceloupe.installation import APP
from faceloupe.ui import resources, state
from tests.conftest import GENERATED, PHOTOGRAPH

TIMEOUT = 120


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FACELOUPE_EVIDENCE", str(tmp_path / "evidence"))
    (tmp_path / "evidence" / "desk").mkdir(parents=True)
    for name, content in (
        ("portrait.jpg", GENERATED.read_bytes()),
        ("photo.png", PHOTOGRAPH.read_bytes()),
        ("=cmd.jpg", b"no picture"),
    ):
        (tmp_path / "evidence" / "desk" / name).write_bytes(content)
    for shared in (resources.batch_store, resources.cases):
        shared.clear()
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    yield at.switch_page("../pages/batch.py").run()
    for shared in (resources.batch_store, resources.cases):
        shared.clear()


def page_text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption, *at.error, *at.info, *at.subheader])


def ended(get):
    """The page, once the job that ``get`` finds has ended."""
    deadline = time.monotonic() + TIMEOUT
    while get().live and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not get().live


def examine(at, path="desk"):
    at.text_input(key="batch_path").input(path)
    at.button(key="batch_go").click().run()
    assert not at.exception
    return at


def examined(at):
    examine(at)
    ended(lambda: resources.batches().get(at.session_state[state.BATCH]))
    at.run()
    assert not at.exception
    return at


@pytest.mark.slow
def test_a_folder_becomes_a_table_with_a_row_for_every_file(app):
    examined(app)
    (table,) = app.dataframe
    assert list(table.value["path"]) == ["desk/=cmd.jpg", "desk/photo.png", "desk/portrait.jpg"]
    assert table.value["outcome"][0] == "✕ error"
    assert table.value["score"].notna().sum() == 2
    faces = table.value[""]  # the face that decided, where one did
    assert [isinstance(face, str) and face.startswith("data:image/") for face in faces] == [False, True, True]
    assert "3 rows" in page_text(app)


@pytest.mark.slow
def test_a_batch_is_found_again_after_a_refresh_and_filtered(app):
    batch = examined(app).session_state[state.BATCH]
    other = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    other.switch_page("../pages/batch.py").run()
    other.button(key=f"batch-{batch}").click().run()
    assert not other.exception
    assert len(other.dataframe[0].value) == 3
    other.session_state[state.BATCH_FILTER] = "error"
    other.run()
    assert list(other.dataframe[0].value["outcome"]) == ["✕ error"]
    other.text_input(key="batch_search").input("nothing like it").run()
    assert not other.exception
    assert "0 rows" in page_text(other)


@pytest.mark.slow
def test_a_selection_does_not_move_to_other_rows(app):
    def table(at):
        return at.dataframe[0].proto.id

    before = table(examined(app))
    assert table(app.run()) == before
    app.selectbox(key="batch_sort").select_index(1).run()
    reordered = list(app.dataframe[0].value["path"])
    assert (table(app) == before) == (reordered == ["desk/=cmd.jpg", "desk/photo.png", "desk/portrait.jpg"])
    app.session_state[state.BATCH_FILTER] = "error"
    app.run()
    assert table(app) != before


@pytest.mark.slow
def test_all_rows_are_filed_to_the_open_case(app):
    case = resources.cases().create_case("case", examiner="Ann")
    app.session_state[state.EXAMINER], app.session_state[state.CASE] = "Ann", case.id
    examined(app)
    app.button(key="batch_file").click().run()
    ended(lambda: resources.long_jobs().get(("filing of a batch", app.session_state[state.BATCH])))
    app.run()
    assert "3 of 3 files were filed, 2 of them analyzed" in page_text(app)  # =cmd.jpg is not a picture
    assert r"=cmd\.jpg could not be analyzed" in page_text(app)
    assert resources.cases().items.page(case.id).total == 3
    viewed = [entry for entry in resources.cases().log.entries(case.id) if entry.action == Action.SCORE_VIEWED]
    assert len(viewed) == 3  # a decision from here on is not one before seeing the score
    batch = resources.batch_store().get(app.session_state[state.BATCH])
    for item in resources.cases().items.page(case.id).items:
        (run,) = resources.cases().runs.of_item(case.id, item.sha256)
        made = batch.report(item.sha256)
        assert made is None or resources.cases().runs.report(run.id) == made  # filed as it was made, its time too
    assert sum(batch.report(item.sha256) is not None for item in resources.cases().items.page(case.id).items) >= 2


@pytest.mark.slow
def test_filing_that_is_forbidden_says_why(app, tmp_path):
    case = resources.cases().create_case("case", examiner="Ann")
    app.session_state[state.EXAMINER], app.session_state[state.CASE] = "Ann", case.id
    examined(app)
    (tmp_path / "data" / "people.json").write_text("damaged")
    app.button(key="batch_file").click().run()
    assert not app.exception
    assert "people.json cannot be read" in page_text(app).replace("\\", "")


def test_many_files_are_filed_to_a_blind_case_without_a_result(app):
    case = resources.cases().create_case("case", examiner="Ann", blind=True)
    app.session_state[state.EXAMINER], app.session_state[state.CASE] = "Ann", case.id
    app.run()
    files = [(path.name, path.read_bytes(), "application/octet-stream") for path in (GENERATED, PHOTOGRAPH)]
    app.file_uploader(key="blind_uploads").set_value(files)
    next(button for button in app.button if button.label.startswith("File all without")).click().run()
    assert not app.exception
    ended(lambda: resources.long_jobs().get(app.session_state[state.FILING_JOB]))
    app.run()
    assert "2 of 2 files were filed and analyzed" in page_text(app)
    assert "log10 LR" not in page_text(app)
    page = resources.cases().items.page(case.id, viewer="Ann")
    assert [item.hidden for item in page.items] == [True, True]
    assert Action.SCORE_VIEWED not in {entry.action for entry in resources.cases().log.entries(case.id)}


def test_while_a_blind_case_is_open_no_batch_is_shown(app):
    case = resources.cases().create_case("case", examiner="Ann", blind=True)
    app.session_state[state.EXAMINER], app.session_state[state.CASE] = "Ann", case.id
    app.run()
    assert "is blind" in page_text(app)
    assert not app.dataframe
    assert not [button for button in app.button if button.key == "batch_go"]


@pytest.mark.slow
def test_rows_of_evidence_of_a_blind_case_are_left_out_on_the_page_and_in_the_csv(app):
    from faceloupe.batch.results import csv_without
    from faceloupe.media.evidence_file import open_evidence

    examined(app)
    store = resources.cases()
    case = store.create_case("blind", examiner="Ann", blind=True)
    store.items.file(case.id, open_evidence(GENERATED, max_bytes=10**8), actor="Ann")
    app.run()
    assert "1 rows belong to blind cases" in page_text(app)
    assert list(app.dataframe[0].value["path"]) == ["desk/=cmd.jpg", "desk/photo.png"]
    table = resources.batch_store().get(app.session_state[state.BATCH]).table
    left = csv_without(table, store.reviews.withheld(""))
    assert left.count(b"\r\n") == 3
    assert b"portrait" not in left
    assert csv_without(table, frozenset()) == table.read_bytes()


@pytest.mark.parametrize(
    ("path", "sentence"), [("../..", "outside the evidence folder"), ("no such", "There is nothing at")]
)
def test_a_path_outside_or_missing_gets_a_sentence(app, path, sentence):
    examine(app, path)
    assert sentence in page_text(app)
    assert resources.batch_store().all() == []


def test_nothing_chosen_gets_a_sentence(app):
    app.button(key="batch_go").click().run()
    assert "needs files" in page_text(app)


def test_a_batch_that_was_interrupted_can_be_resumed_or_removed(app):
    batch = resources.batch_store().add("cut", uploads=[("a.jpg", io.BytesIO(b"no picture"))])
    app.run()
    app.button(key=f"batch-{batch.id}").click().run()
    assert "This batch may be incomplete" in page_text(app)
    app.button(key="batch_on").click().run()
    ended(lambda: resources.batches().get(batch.id))
    app.run()
    assert len(app.dataframe[0].value) == 1
    app.button(key="batch_remove").click().run()
    assert not app.exception
    assert resources.batch_store().all() == []
