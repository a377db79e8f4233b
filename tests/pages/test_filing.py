"""Filing from the pages, and the results that a blind case withholds from them."""

import numpy as np
import pytest
from PIL import Image

from faceloupe.ui import resources, state
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.pages.record import ADA, ITEM, SHA256, blind_case_with, click, create, decide, go, name_examiner, settled
from tests.pages.test_pages import page_text

KEPT = "evidence of the blind case Sealed"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of the bundled portrait."""
    portrait = np.asarray(Image.open(GENERATED).convert("RGB").resize((360, 360)))
    return write_clip(tmp_path_factory.mktemp("clip") / "still.mp4", [portrait] * 10, fps=10)


def upload(at, path):
    go(at, "video").number_input(key="frames").set_value(2)
    at.file_uploader(key="video_upload_widget").upload(path.name, path.read_bytes(), "video/mp4").run()
    assert not at.exception
    return at


def only_run(at):
    store, case_id = resources.cases(), at.session_state[state.CASE]
    (item,) = store.items.page(case_id).items
    (run,) = store.runs.of_item(case_id, item.sha256)
    return item, run


def test_a_blind_case_shows_a_score_only_after_the_decision(app):
    go(create(app, blind=True), "image")
    click(app, "sample-photograph")
    assert "Error rates" not in page_text(app)
    settled(click(app, "file_blind"))
    assert "was filed and analyzed" in page_text(app)
    assert "hidden until you decide" in page_text(go(app, "case"))
    hidden = page_text(click(app, ITEM))
    assert "its result is shown once Ada Example has entered a decision" in hidden
    assert "Error rates" not in hidden
    assert len(app.get("image")) == 1  # the evidence itself
    shown = page_text(decide(app))
    assert "no earlier view of the score in the log" in shown
    assert "authentic faces were called manipulated" in shown
    assert "result is shown once" not in shown
    assert "hidden until you decide" not in page_text(click(app, "item_list"))
    assert "Error rates" not in page_text(go(app, "image"))


def test_a_result_that_was_on_show_is_hidden_while_a_blind_case_is_open(app):
    assert "Error rates" in page_text(click(app, "sample-photograph"))
    assert "Error rates" not in page_text(go(create(app, blind=True), "image"))


def test_a_video_is_filed_as_it_was_examined(app, clip):
    upload(create(app), clip)
    settled(app, state.VIDEO_JOB)
    click(app, "file")
    assert "Already filed in case Harbor" in page_text(app)
    item, run = only_run(app)
    report = resources.analyses().get(app.session_state[state.VIDEO_RESULT]).report.to_builtins()
    assert (item.name, item.media_type, run.outcome) == ("still.mp4", "video", report["outcome"])
    assert any(name.endswith("-filmstrip.png") for name in run.pictures)


def test_blind_filing_that_is_forbidden_says_why(app, data_folder):
    go(create(app, blind=True), "image")
    click(app, "sample-photograph")
    (data_folder / "people.json").write_text("damaged")
    click(app, "file_blind")
    assert "people.json cannot be read" in page_text(app).replace("\\", "")


def test_a_video_is_filed_to_a_blind_case_under_the_chosen_options_and_shows_nothing(app, clip):
    upload(create(app, blind=True), clip)
    settled(click(app, "file_blind"))
    text = page_text(app)
    assert "was filed and analyzed" in text
    assert "log10 LR" not in text
    assert not app.get("plotly_chart")
    item, run = only_run(app)
    assert '"frames": 2' in resources.cases().runs.report_text(run.id)
    assert resources.cases().items.get(app.session_state[state.CASE], item.sha256, viewer=ADA).hidden


def in_the_way(folder):
    """Put a file where a folder belongs."""
    folder.rmdir()
    folder.write_bytes(b"")


@pytest.mark.parametrize(
    ("part", "sentence", "items"),
    [("evidence", "cannot be used", 0), ("pictures", "photograph.png was filed but not analyzed", 1)],
)
def test_a_blind_filing_that_fails_says_why_and_tells_the_log(app, data_folder, part, sentence, items):
    go(create(app, blind=True), "image")
    in_the_way(data_folder / part)
    click(app, "sample-photograph")
    settled(click(app, "file_blind"))
    text = page_text(app).replace("\\", "")
    assert sentence in text
    assert "the data folder" in text.lower()
    assert "Error rates" not in text
    store, case_id = resources.cases(), app.session_state[state.CASE]
    assert store.items.page(case_id).total == items
    assert store.log.entries(case_id)[-1].action == ("run failed" if items else "intake failed")


def test_evidence_of_a_blind_case_that_is_not_open_is_kept_from_who_has_not_decided_it(app):
    case = blind_case_with()
    name_examiner(app)
    go(app, "image")
    text = page_text(click(app, "sample-photograph"))
    assert KEPT in text
    assert case.id in text
    assert "Error rates" not in text
    assert not any(picture.caption for image in app.get("image") for picture in image.proto.imgs)  # of the result
    assert not app.get("plotly_chart")
    assert not app.get("download_button")
    resources.cases().reviews.decide(
        case.id, SHA256, outcome="authentic", reason="Seen", confidence="low", examiner="ada  EXAMPLE"
    )
    text = page_text(app.run())
    assert KEPT not in text
    assert "Error rates" in text


def test_a_viewer_without_a_name_sees_no_results_of_blind_cases(app):
    case = blind_case_with()
    resources.cases().reviews.decide(
        case.id, SHA256, outcome="authentic", reason="Seen", confidence="low", examiner=ADA
    )
    go(app, "image")
    text = page_text(click(app, "sample-photograph"))
    assert KEPT in text
    assert "once you have named an examiner who has entered a decision on it" in text
    assert "Error rates" not in text
    assert KEPT not in page_text(click(app, "sample-generated-woman"))


def test_closing_or_leaving_a_blind_case_uncovers_nothing(app):
    click(app, "sample-photograph")
    assert "Error rates" in page_text(app)  # before it became evidence
    blind_case_with()
    create(app, "Another")
    assert KEPT in page_text(go(app, "image"))
    click(go(app, "cases"), "close")
    text = page_text(go(app, "image"))
    assert KEPT in text
    assert "Error rates" not in text


def test_a_video_of_a_blind_case_is_kept_as_well(app, clip):
    blind_case_with(clip)
    name_examiner(app)
    settled(upload(app, clip), state.VIDEO_JOB)
    text = page_text(app)
    assert KEPT in text
    assert "log10 LR" not in text
    assert not app.get("plotly_chart")
    assert not app.get("image")


def test_looking_at_a_picture_makes_no_store(app, data_folder):
    assert "Error rates" in page_text(click(app, "sample-photograph"))
    assert not data_folder.exists()


def test_cases_that_cannot_be_read_let_nothing_through(app, data_folder):
    data_folder.mkdir()
    (data_folder / "cases.sqlite").write_bytes(b"no database " * 1000)
    text = page_text(click(app, "sample-photograph")).replace("\\", "")
    assert "is damaged" in text
    assert "Error rates" not in text
    assert PHOTOGRAPH.exists()
