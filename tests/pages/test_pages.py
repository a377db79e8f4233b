"""The pages, driven as a user would, without a browser."""

import io
import json
import shutil
import threading
import time
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.analysis.pipeline import analyze
from faceloupe.cli import main
from faceloupe.config import DEFAULT_MODEL, QUICK_MODEL, weights_folder
from faceloupe.errors import Cancelled
from faceloupe.evaluation.published import read_evaluation
from faceloupe.installation import APP, ROOT
from faceloupe.models.record import EVALUATION, read_registry
from faceloupe.report.build import ReportedAnalysis
from faceloupe.training.settings import CARD_CORE
from faceloupe.ui import resources, state
from faceloupe.ui.caches import AnalysisKey, AnalysisStore
from faceloupe.ui.elements import plain
from tests.conftest import GENERATED, PHOTOGRAPH, SAMPLE
from tests.pages.record import ended

TIMEOUT = 60


@pytest.fixture
def app():
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    at.run()
    assert not at.exception
    return at


def page_text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption, *at.error, *at.info])


def upload(at, path, name=None):
    at.file_uploader(key="upload").upload(name or path.name, path.read_bytes(), "application/octet-stream").run()
    assert not at.exception
    return at


def test_the_first_visit_says_what_will_happen_and_offers_samples(app):
    assert "stays on this machine" in page_text(app)
    assert "weights verified" in page_text(app)
    assert {"sample-generated-woman", "sample-photograph", "sample-two-shots"} <= {button.key for button in app.button}


def test_what_a_file_holds_besides_its_picture_is_examined_on_request(app, tmp_path):
    two = tmp_path / "two.jpg"
    two.write_bytes(GENERATED.read_bytes() + PHOTOGRAPH.read_bytes())
    upload(app, two)
    assert plain(f"a further picture (PNG), {PHOTOGRAPH.stat().st_size:,} bytes") in page_text(app)
    app.button(key="embedded-0").click().run()
    assert not app.exception
    assert plain(f"two.jpg!{GENERATED.stat().st_size}") in page_text(app)
    assert plain("Taken out of two.jpg") in page_text(app)
    assert "embedded-0" not in {button.key for button in app.button}


def test_the_tab_carries_the_name_of_the_page(app, monkeypatch):
    titles = []
    monkeypatch.setattr("streamlit.set_page_config", lambda **named: titles.append(named["page_title"]))
    app.switch_page("../pages/models.py").run()
    assert titles == ["FaceLoupe", "Models - FaceLoupe"]


@pytest.mark.parametrize("path", [SAMPLE, PHOTOGRAPH], ids=lambda path: path.stem)
def test_page_and_command_line_give_one_score(app, capsys, path):
    app.button(key=f"sample-{path.stem}").click().run()
    assert not app.exception
    shown = resources.analyses().get(app.session_state[state.RESULT]).report.to_builtins()
    assert main.main(["analyze", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert shown["score"] == pytest.approx(report["score"], abs=1e-6)
    assert shown["outcome"] == report["outcome"]
    assert f"log10 LR {report['log10_lr']:+.2f}" in page_text(app)
    shown_model = f"model {plain(report['model']['id'])} `{report['model']['weights_sha256'][:8]}`"
    assert shown_model in page_text(app)


def test_an_upload_is_analyzed_once_and_stays_on_show(app):
    upload(app, PHOTOGRAPH, "my photo.png")
    key = app.session_state[state.RESULT]
    assert key.name == "my photo.png"
    app.run()
    assert app.session_state[state.RESULT] == key
    assert "authentic faces were called manipulated" in page_text(app)


def test_a_result_survives_a_change_of_page(app):
    app.button(key="sample-photograph").click().run()
    key = app.session_state[state.RESULT]
    app.switch_page("../pages/about.py").run()
    assert not app.exception
    assert "page Models shows the error rates" in page_text(app)
    app.switch_page("../pages/image.py").run()
    assert not app.exception
    assert app.session_state[state.RESULT] == key
    assert "authentic faces were called manipulated" in page_text(app)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("text.jpg", b"not a picture\n", "neither a supported image"),
        ("empty.png", b"", "empty"),
        ("half.jpg", GENERATED.read_bytes()[:-9000], "damaged, incomplete"),
    ],
    ids=["no picture", "empty", "cut"],
)
def test_a_bad_upload_gets_a_sentence_not_a_trace(app, tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    upload(app, tmp_path / name)
    assert expected in page_text(app).replace("\\", "")


def test_markup_in_a_file_name_is_shown_not_run(app, tmp_path):
    upload(app, PHOTOGRAPH, "<b>:red[x]</b>**y**.png")
    text = page_text(app)
    assert "<b>:red" not in text
    assert "\\<b\\>" in text


def test_without_weights_the_page_says_so_and_scores_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path))
    resources.loaded.clear()
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    assert not at.exception
    assert "nothing can be scored" in page_text(at)
    at.button(key="sample-photograph").click().run()
    assert not at.exception
    assert at.session_state[state.RESULT] is None
    resources.loaded.clear()


def test_an_analysis_cancelled_half_way_says_so_and_shows_no_old_verdict(app, monkeypatch):
    app.button(key="sample-photograph").click().run()
    assert "Error rates" in page_text(app)

    def cancelled_by_a_click(*_, **__):
        raise Cancelled("The analysis was cancelled.")

    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", cancelled_by_a_click)
    upload(app, GENERATED, "not analyzed before.jpg")
    assert "Error rates" not in page_text(app)
    assert "was cancelled" in page_text(app)
    assert app.session_state[state.RESULT] is None


def test_a_photo_waits_for_its_turn_and_is_found_after_a_change_of_page(app, monkeypatch):
    from faceloupe.ui import resources
    from faceloupe.ui.jobs import tasks

    gate, analyze = threading.Event(), tasks.analyze

    def waiting(*arguments, **named):
        assert gate.wait(TIMEOUT)
        return analyze(*arguments, **named)

    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", waiting)
    monkeypatch.setattr("faceloupe.ui.image.input.wait", lambda job: None)  # whoever leaves the page does not wait
    upload(app, GENERATED, "left alone.jpg")
    app.switch_page("../pages/about.py").run()
    gate.set()
    job = resources.short_jobs().get(app.session_state[state.IMAGE_JOB])
    deadline = time.monotonic() + TIMEOUT
    while job.live and time.monotonic() < deadline:
        time.sleep(0.01)
    app.switch_page("../pages/image.py").run()
    assert not app.exception
    assert app.session_state[state.RESULT].name == "left alone.jpg"
    assert "authentic faces were called manipulated" in page_text(app)


def test_the_store_keeps_the_latest_within_its_bound_and_tells_files_apart(analyzer):
    reported = ReportedAnalysis.of(analyze(PHOTOGRAPH, analyzer, explain=False))
    store = AnalysisStore(capacity_bytes=3 * reported.canvas.rgb.nbytes)  # room for two: each has a crop, too
    keys = [AnalysisKey(str(number), "n", "w", "s") for number in range(3)]
    for key in keys:
        store.put(key, reported)
    assert [store.get(key) is None for key in keys] == [True, False, False]


def test_the_models_page_shows_every_table_of_the_evaluation(app):
    app.switch_page("../pages/models.py").run()
    assert not app.exception
    evaluation = read_evaluation(weights_folder() / EVALUATION)
    records = read_registry(weights_folder())
    others = [name for name in records if name != QUICK_MODEL]
    assert app.selectbox(key="model").options == [QUICK_MODEL, *others]
    assert app.selectbox(key="model").value == QUICK_MODEL
    rates = records[QUICK_MODEL].error_rates
    assert {metric.value for metric in app.metric} >= {f"{rates.fpr:.1%}", f"{rates.fnr:.1%}"}
    assert [tab.label for tab in app.tabs] == ["Held-out sources", "Sources left out of training"]
    app.selectbox(key="model").select(CARD_CORE).run()
    assert not app.exception
    assert len(app.tabs) == 7
    sources = {row.part for row in evaluation.tables.sources}
    shown = [set(frame.value["source"]) for frame in app.dataframe if "source" in frame.value]
    assert sources in shown
    other = next(name for name in records if name != QUICK_MODEL)
    app.selectbox(key="model").select(other).run()
    assert not app.exception
    assert f"{records[other].error_rates.fpr:.1%}" in {metric.value for metric in app.metric}


@pytest.mark.parametrize("model", [CARD_CORE, QUICK_MODEL, DEFAULT_MODEL])
def test_tables_of_another_record_are_not_passed_off_as_its_own(tmp_path, monkeypatch, model):
    shutil.copytree(weights_folder(), tmp_path / "weights")
    path = tmp_path / "weights" / f"{model}.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["thresholds"]["upper"] = 0.999
    path.write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv("FACELOUPE_WEIGHTS", str(tmp_path / "weights"))
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    at.switch_page("../pages/models.py").run()
    at.selectbox(key="model").select(model).run()
    assert any("no tables for this record" in warning.value for warning in at.warning)
    (tmp_path / "weights" / "evaluation.json").unlink()
    at.run()
    assert any("there are no tables" in error.value for error in at.error)


def test_one_click_on_the_start_page_leads_to_a_verdict_on_the_page_of_its_kind(app):
    for key, header in (("sample-photograph", "Image"), ("sample-two-shots", "Video")):
        app.switch_page("../pages/start.py").run()
        app.button(key=key).click().run()
        assert not app.exception
        assert [element.value for element in app.header] == [header]
    ended(resources.long_jobs().get(app.session_state[state.VIDEO_JOB]))
    app.switch_page("../pages/video.py").run()
    assert app.session_state[state.VIDEO_RESULT].name == "two-shots.mp4"
    app.switch_page("../pages/start.py").run()
    recent = [button.label for button in app.button if button.key.startswith("recent-")]
    assert [plain("two-shots.mp4"), plain("photograph.png")] == recent


@pytest.mark.parametrize("zipped", [False, True], ids=["several files", "a ZIP"])
def test_several_files_or_a_zip_become_a_batch(app, zipped):
    files = [(path.name, path.read_bytes(), "application/octet-stream") for path in (GENERATED, PHOTOGRAPH)]
    if zipped:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content, _ in files:
                archive.writestr(name, content)
        files = [("evidence.zip", stream.getvalue(), "application/zip")]
    app.file_uploader(key="upload").set_value(files).run()
    assert not app.exception
    assert [element.value for element in app.header] == ["Batch"]
    batch = resources.batch_store().get(app.session_state[state.BATCH])
    ended(resources.batches().get(batch.id))
    assert len(resources.tables().get(batch).rows) == 2


def test_no_page_stops_the_script_as_what_the_browser_remembers_is_sent_at_its_end():
    pages = sorted((ROOT / "pages").glob("*.py"))
    assert pages
    assert [page.name for page in pages if "st.stop(" in page.read_text(encoding="utf-8")] == []
