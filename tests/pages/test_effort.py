"""The choice of the effort on the pages, driven as a user would, without a browser."""

import csv
import io
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.config import DEFAULT_MODEL, EFFORTS, Settings
from faceloupe.installation import APP
from faceloupe.ui import resources, state
from tests.conftest import GENERATED, OTHER_MODEL, PHOTOGRAPH, SAMPLE
from tests.pages.record import TIMEOUT, click, ended, go, name_examiner

PAGES = ("image", "video", "batch")


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(autouse=True)
def other_quick(monkeypatch):
    """Give the effort ``quick`` its own model; the app starts with its default."""
    monkeypatch.setitem(EFFORTS, "quick", OTHER_MODEL)
    monkeypatch.delenv("FACELOUPE_EFFORT")
    resources._server.clear()  # it read the environment when the first test asked for it
    yield
    resources._server.clear()


@pytest.fixture
def batch_store():
    resources.batch_store.clear()
    yield
    resources.batch_store.clear()


def choice(at):
    return at.segmented_control(key="effort_widget")


def choose(at, effort):
    choice(at).set_value(effort).run()
    assert not at.exception
    return at


def page_text(at) -> str:
    return "\n".join(element.value for element in at.caption).replace("\\", "")


def report(at):
    return resources.analyses().get(at.session_state[state.RESULT]).report.to_builtins()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_examines_offers_the_efforts_and_begins_with_the_default_one(app, page):
    go(app, page)
    assert choice(app).options == ["Quick", "Standard", "Thorough"]
    assert choice(app).value == "standard"
    for effort, expected_text in (
        ("quick", "for sorting by score"),
        ("standard", "expert network"),
        ("thorough", "on more frames of a video"),
    ):
        choose(app, effort)
        assert expected_text in page_text(app)
        assert f"effort {effort}" in page_text(app)


def test_a_photo_is_examined_with_the_chosen_effort_and_a_second_choice_is_another_result(app):
    click(choose(app, "quick"), f"sample-{PHOTOGRAPH.stem}")
    quick = report(app)
    assert (quick["settings"]["effort"], quick["model"]["id"]) == ("quick", OTHER_MODEL)
    click(choose(app, "thorough"), f"sample-{PHOTOGRAPH.stem}")
    thorough = report(app)
    assert (thorough["settings"]["effort"], thorough["model"]["id"]) == ("thorough", EFFORTS["thorough"])


def test_the_choice_outlives_its_page_and_a_second_click_on_it(app):
    choose(app, "quick")
    for page in ("about", *PAGES):
        go(app, page)
    assert choice(app).value == "quick"
    choose(app, None)  # what a click on the chosen one sends
    assert choice(app).value == "quick"


def test_one_session_chooses_for_itself_alone(app):
    choose(app, "quick")
    other = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    assert choice(other).value == "standard"
    assert choice(app.run()).value == "quick"


def test_a_model_named_on_the_page_models_scores_until_an_effort_is_chosen(app, monkeypatch):
    monkeypatch.setitem(EFFORTS, "quick", DEFAULT_MODEL)  # so that no effort stands for the other one
    choose(app, "thorough")
    go(app, "models").selectbox(key="model").select(OTHER_MODEL).run()
    try:
        click(app, "choose-model")
        go(app, "image")
        assert choice(app).value is None
        assert f"{OTHER_MODEL} was chosen on the page Models" in page_text(app).replace("\u2060", "")
        click(app, f"sample-{PHOTOGRAPH.stem}")
        assert (report(app)["settings"]["effort"], report(app)["model"]["id"]) == (None, OTHER_MODEL)
        click(choose(app, "standard"), f"sample-{PHOTOGRAPH.stem}")
        assert (report(app)["settings"]["effort"], report(app)["model"]["id"]) == ("standard", DEFAULT_MODEL)
    finally:
        resources.choose_model(DEFAULT_MODEL)


def test_what_is_filed_to_a_blind_case_is_analyzed_with_the_chosen_effort(app):
    store = resources.cases()
    case = store.create_case("Sealed", examiner="Ada Example", blind=True)
    name_examiner(app, "Ada Example")
    app.session_state[state.CASE] = case.id
    choose(go(app, "image"), "quick")
    click(click(app, f"sample-{PHOTOGRAPH.stem}"), "file_blind")
    ended(resources.long_jobs().get(app.session_state[state.FILING_JOB]))
    (item,) = store.items.page(case.id).items
    (run,) = store.runs.of_item(case.id, item.sha256)
    assert f'"model": "{OTHER_MODEL}"' in store.runs.report_text(run.id)


def test_a_batch_that_was_interrupted_is_resumed_at_its_own_effort(app, batch_store):
    settings = Settings(effort="quick")
    batch = resources.batch_store().add("cut", settings=settings, uploads=[("a.jpg", io.BytesIO(b"no picture"))])
    go(app, "batch")
    assert choice(app).value == "standard"
    click(app, f"batch-{batch.id}")
    assert "effort quick" in page_text(app)
    click(app, "batch_on")
    ended(resources.batches().get(batch.id))
    assert {row["effort"] for row in rows(batch.table)} == {"quick"}


@pytest.mark.slow
def test_a_new_batch_is_made_with_the_chosen_effort(app, batch_store, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_EVIDENCE", str(tmp_path))
    (tmp_path / "portrait.jpg").write_bytes(GENERATED.read_bytes())
    choose(go(app, "batch"), "thorough")
    app.text_input(key="batch_path").input("portrait.jpg")
    click(app, "batch_go")
    batch = resources.batch_store().get(app.session_state[state.BATCH])
    ended(resources.batches().get(batch.id))
    assert {row["effort"] for row in rows(batch.table)} == {"thorough"}


def test_the_next_step_of_an_open_result_analyzes_it_thoroughly(app):
    click(choose(app, "quick"), f"sample-{SAMPLE.stem}")
    assert report(app)["outcome"] == "inconclusive"
    click(app, "next-thorough")
    assert report(app)["settings"]["effort"] == "thorough"
    assert choice(app).value == "quick"  # for files that are chosen later
    assert "next-thorough" not in {button.key for button in app.button}
