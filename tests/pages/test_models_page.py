"""The page Models: fetching missing weights, and choosing the model."""

import shutil
import time

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, weights_folder
from faceloupe.evaluation.source_rows import AS_IS, HELD_OUT, read_rows
from faceloupe.installation import APP, EXPERT_TABLES, ROOT
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.models.record import find_record, read_registry
from faceloupe.ui import resources, state
from faceloupe.ui.models.regression import Comparing
from faceloupe.web.jobs import JobQueue
from tests.conftest import OTHER_MODEL
from tests.evaluation.test_regression import decided
from tests.models.releases import served, status, whole

TIMEOUT = 60
OTHER = read_registry(weights_folder())[OTHER_MODEL]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the registry, without the weights of the model that does not score."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    shutil.copytree(weights_folder(), tmp_path / "weights")
    (tmp_path / "weights" / OTHER.weights_file).unlink()
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path / "weights"))
    resources.loaded.clear()
    yield tmp_path / "weights"
    resources.choose_model(QUICK_MODEL)


def page():
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    at.switch_page("../pages/models.py").run()
    assert not at.exception
    return at


def states(at) -> dict[str, str]:
    table = at.dataframe[0].value
    return dict(zip(table["model"], table["weights"]))


def fetched(at):
    at.button(key="fetch-model").click().run()
    deadline = time.monotonic() + TIMEOUT
    while resources.long_jobs().live() and time.monotonic() < deadline:
        time.sleep(0.05)
    at.run()
    assert not at.exception


def test_missing_weights_are_fetched_and_then_chosen(folder, monkeypatch):
    at = page()
    assert states(at)[OTHER.id] == "not on this machine"
    assert states(at)[QUICK_MODEL] == "verified"
    at.selectbox(key="model").select(OTHER.id).run()
    content = (ROOT / "weights" / OTHER.weights_file).read_bytes()
    with served(lambda handler: whole(handler, content)) as server:
        monkeypatch.setenv("FACELOUPE_RELEASES", server.address)
        fetched(at)
    assert states(at)[OTHER.id] == "verified"
    at.button(key="choose-model").click().run()
    assert not at.exception
    assert resources.networks().scorer.record.id == OTHER.id
    shown = at.dataframe[0].value
    assert list(shown.loc[shown["in use here"] == "yes", "model"]) == [OTHER.id]
    assert any(OTHER.weights_sha256[:8] in caption.value for caption in at.caption)


def test_a_fetch_that_fails_says_why_and_can_be_tried_again(folder, monkeypatch):
    at = page()
    at.selectbox(key="model").select(OTHER.id).run()
    with served(status(403)) as server:
        monkeypatch.setenv("FACELOUPE_RELEASES", server.address)
        fetched(at)
    assert any("answered 403" in error.value for error in at.error)
    assert states(at)[OTHER.id] == "not on this machine"
    assert at.button(key="fetch-model")


@pytest.mark.parametrize("action", ["fetch-model", "compare-cases"])
def test_an_action_that_the_full_queue_refuses_says_so(folder, monkeypatch, action):
    at = page()
    if action == "fetch-model":
        at.selectbox(key="model").select(OTHER.id).run()
    else:
        at.session_state[state.EXAMINER] = "Ann Example"
        at.run()
    full = JobQueue(capacity=0)
    monkeypatch.setattr(resources, "long_jobs", lambda: full)
    at.button(key=action).click().run()
    assert not at.exception
    assert any("already waiting" in error.value for error in at.error)


def test_the_table_shows_the_error_rates_of_the_records(folder):
    table = page().dataframe[0].value.set_index("model")
    for name, record in read_registry(folder).items():
        row = table.loc[name]
        assert row["FPR"] == f"{record.error_rates.fpr:.1%}"
        assert row["FNR"] == f"{record.error_rates.fnr:.1%}"
        assert record.license.startswith(row["license"])
    assert find_record(folder, QUICK_MODEL).weights_sha256.startswith(table.loc[QUICK_MODEL, "SHA-256"])


def test_a_model_without_verified_weights_is_not_chosen(folder):
    from faceloupe.errors import WeightsError

    with pytest.raises(WeightsError):
        resources.choose_model(OTHER.id)
    assert resources.settings().model_id == QUICK_MODEL


def test_decided_items_are_scored_again_and_flips_are_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    resources.cases.clear()
    store = resources.cases()
    case = store.create_case("Harbor <b>x</b>", examiner="Ann")
    decided(store, case.id, b"plain text", outcome="manipulated", decision="manipulated")
    at = page()
    assert not [button for button in at.button if button.key == "compare-cases"]  # as nobody is named who would see it
    at.session_state[state.EXAMINER] = "Ann"
    at.run()
    at.button(key="compare-cases").click().run()
    job = resources.long_jobs().get(Comparing(resources.settings().model_id, "Ann"))
    assert job is not None
    job.wait(TIMEOUT)
    at.run()
    assert not at.exception
    assert any("1 decided items compared, 1 with a different outcome" in element.value for element in at.markdown)
    blind = store.create_case("Sealed", examiner="Ann", blind=True)
    store.items.file(blind.id, evidence_from_bytes(b"plain text", "item.bin", max_bytes=1 << 24), actor="Ann")
    at.run()
    assert any("0 decided items compared" in element.value for element in at.markdown)
    resources.cases.clear()


def test_the_default_model_is_shown_with_its_errors_by_source_the_most_wrong_first(folder):
    at = page()
    at.selectbox(key="model").select(DEFAULT_MODEL).run()
    assert not at.exception
    photographs, manipulated, *_ = (frame.value for frame in at.dataframe[1:])
    rows = {(row.label, row.source): row for row in read_rows(EXPERT_TABLES / HELD_OUT) if row.view == AS_IS}
    assert len(photographs) + len(manipulated) == len(rows)
    assert photographs["source"][0] == manipulated["source"][0] == "all sources"
    wrong = [rows["manipulated", name].wrong / rows["manipulated", name].faces for name in manipulated["source"][1:]]
    assert wrong == sorted(wrong, reverse=True)
    assert wrong[0] > 0
    every = rows["authentic", "all"]
    assert photographs["called manipulated"][0].startswith(f"{every.manipulated / every.faces:.1%} (")
