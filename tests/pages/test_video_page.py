"""The page Video, driven as a user would, without a browser."""

import threading
import time

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from faceloupe.errors import Cancelled
from faceloupe.installation import APP
from faceloupe.media.video import Video
from faceloupe.types import FrameStage
from faceloupe.ui import resources, state
from faceloupe.ui.elements import sentence
from faceloupe.ui.video import input, panels
from tests.clips import write_clip
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.pages.test_pages import page_text

TIMEOUT = 60
FRAMES = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds of the bundled portrait, slowly panned."""
    portrait = np.asarray(Image.open(GENERATED).convert("RGB").resize((400, 400)))
    frames = [portrait[step : step + 360, step : step + 360] for step in range(20)]
    return write_clip(tmp_path_factory.mktemp("clip") / "panned.mp4", frames, fps=10)


@pytest.fixture
def page(monkeypatch):
    monkeypatch.delenv("FACELOUPE_EVIDENCE", raising=False)
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    at.switch_page("../pages/video.py").run()
    assert not at.exception
    return at


def upload(at, path, name=None, frames=FRAMES):
    at.number_input(key="frames").set_value(frames)
    widget = at.file_uploader(key="video_upload_widget")
    widget.upload(name or path.name, path.read_bytes(), "application/octet-stream").run()
    assert not at.exception
    return at


def settled(at, key=state.VIDEO_JOB):
    """The page, once the job that it waits for has ended."""
    job = resources.long_jobs().get(at.session_state[key]) if at.session_state[key] else None
    deadline = time.monotonic() + TIMEOUT
    while job is not None and job.live and time.monotonic() < deadline:
        time.sleep(0.02)
    at.run()
    assert not at.exception
    return at


def wait_for(holds):
    deadline = time.monotonic() + TIMEOUT
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def shown(at):
    return resources.analyses().get(at.session_state[state.VIDEO_RESULT]).report.to_builtins()


def captions_of_pictures(at):
    return "\n".join(img.caption for image in at.get("image") for img in image.proto.imgs)


@pytest.fixture
def examined(page, clip):
    return settled(upload(page, clip))


def test_the_first_visit_says_what_will_happen_and_how_to_mount_a_folder(page):
    assert "stays on this machine" in page_text(page)
    assert "FACELOUPE_EVIDENCE" in page_text(page)
    assert input.COST in page_text(page)


def test_an_upload_is_examined_and_its_tracks_are_shown(examined):
    report = shown(examined)
    assert report["evidence"]["name"] == "panned.mp4"
    assert len(report["frames"]) == FRAMES
    text = page_text(examined)
    assert f"log10 LR {report['log10_lr']:+.2f}" in text
    assert text.index("**Person 1**, 1 shot: ") < text.index("**Track 1**, shot 0: ")
    assert "Each point is a frame" in text
    assert list(examined.dataframe[0].value["track"]) == [face["id"] for face in report["faces"]]
    assert "| Duration | 2.000 s, 20 frames |" in text
    assert "| Frame rate | 10/1 frames/s, constant |" in text


def test_the_shots_of_a_person_stand_below_it_with_what_they_say_together(page, tmp_path):
    """The bundled portrait, two seconds of the bundled photograph, and the portrait again."""
    portrait, other = (
        np.asarray(Image.open(path).convert("RGB").resize((400, 400))) for path in (GENERATED, PHOTOGRAPH)
    )
    frames = [
        picture[step : step + 360, step : step + 360] for picture in (portrait, other, portrait) for step in range(20)
    ]
    settled(upload(page, write_clip(tmp_path / "cut.mp4", frames, fps=10), frames=9))
    people = {person["id"]: person for person in shown(page)["people"]}
    number, person = next((number, person) for number, person in people.items() if len(person["tracks"]) == 2)
    text = page_text(page)
    below = text.partition(f"**Person {number}**, 2 shots: ")[2].partition("**Person ")[0]
    assert "**Track 1**, shot 0: " in below
    assert "**Track 3**, shot 2: " in below
    assert "**Track 2**" not in below
    assert sentence(person["reason"]) in [caption.value for caption in page.caption]


def test_at_first_the_strongest_frame_of_the_deciding_track_is_on_show_and_the_keys_step(examined):
    report = shown(examined)
    strongest = report["faces"][0]["shown_frame"]["index"]
    assert f"Frame {strongest} at" in captions_of_pictures(examined)
    indices = [frame["index"] for frame in report["frames"]]
    step = "step-Left" if strongest == indices[-1] else "step-Right"
    target = indices[indices.index(strongest) + (1 if step == "step-Right" else -1)]
    examined.button(key=step).click().run()
    assert not examined.exception
    assert f"Frame {target} at" in captions_of_pictures(examined)
    assert resources.frames().get((examined.session_state[state.VIDEO_RESULT], target)) is not None


def test_a_click_on_a_point_shows_its_frame_and_its_track(monkeypatch):
    session = {panels._CHART: {"selection": {"points": [{"customdata": [70, 3]}]}}}
    monkeypatch.setattr(panels.st, "session_state", session)
    panels._choose_point()
    assert session[state.VIDEO_SHOWN] == (70, 3)
    session[panels._CHART] = {"selection": {"points": []}}
    panels._choose_point()
    assert session[state.VIDEO_SHOWN] == (70, 3)


def test_a_result_survives_a_change_of_page(examined):
    key = examined.session_state[state.VIDEO_RESULT]
    examined.switch_page("../pages/about.py").run()
    examined.switch_page("../pages/video.py").run()
    assert not examined.exception
    assert examined.session_state[state.VIDEO_RESULT] == key
    assert "Each point is a frame" in page_text(examined)


def test_a_closer_look_is_a_result_of_its_own_with_a_way_back(examined):
    whole = examined.session_state[state.VIDEO_RESULT]
    slider = examined.slider(key=f"segment-{whole.evidence_sha256}-{whole.settings_digest}")
    slider.set_value((0.5, 1.5))
    examined.number_input(key="closer_frames").set_value(3)
    examined.run()
    examined.button(key="closer").click().run()
    settled(examined)
    report = shown(examined)
    assert (report["settings"]["from_s"], report["settings"]["to_s"]) == (0.5, 1.5)
    assert all(0.5 <= frame["time_s"] <= 1.5 for frame in report["frames"])
    assert "Only 0.50 s to 1.50 s were analyzed" in page_text(examined)
    examined.button(key="back").click().run()
    assert examined.session_state[state.VIDEO_RESULT] == whole
    assert "the verdict applies to this segment alone" not in page_text(examined)


def test_an_annotated_copy_is_made_on_request_and_offered(examined):
    key = examined.session_state[state.VIDEO_RESULT]
    examined.button(key="make_copy").click().run()
    job = resources.long_jobs().get(("annotated copy", "en", key))
    wait_for(lambda: not job.live)
    examined.run()
    assert not examined.exception
    assert "make_copy" not in {button.key for button in examined.button}
    with job.result.open("rb") as stream, Video(stream, "MP4", max_pixels=10**8) as video:
        assert video.count == 20


def test_cancel_ends_the_wait_at_once_and_says_so(page, clip, monkeypatch):
    began = threading.Event()

    def endless(*_, progress, cancel, **__):
        progress(FrameStage(1, 9), 0.2)
        began.set()
        while not cancel():
            time.sleep(0.01)
        raise Cancelled("The analysis was cancelled.")

    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", endless)
    upload(page, clip, "cancelled.mp4")
    assert began.wait(TIMEOUT)
    page.run()
    assert "1 frames done" in page_text(page)
    cancel = next(button for button in page.button if button.label == "Cancel")
    cancel.click().run()
    page.run()
    assert not page.exception
    assert "was cancelled" in page_text(page)
    assert page.session_state[state.VIDEO_RESULT] is None


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("notes.mkv", b"not a video\n", "contains no video in a supported format"),
    ],
)
def test_what_is_no_video_gets_a_sentence(page, tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    settled(upload(page, tmp_path / name))
    assert expected in page_text(page).replace("\\", "")
    assert page.session_state[state.VIDEO_RESULT] is None


def test_a_damaged_video_gets_a_verdict_of_its_own(page, clip, tmp_path):
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:2_000])
    settled(upload(page, tmp_path / "half.mp4"))
    assert shown(page)["outcome"] == "error"
    assert "get a complete copy" in page_text(page)


def test_a_file_of_the_evidence_folder_is_examined_where_it_lies(clip, monkeypatch):
    monkeypatch.setenv("FACELOUPE_EVIDENCE", str(clip.parent))
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    at.switch_page("../pages/video.py").run()
    at.number_input(key="frames").set_value(FRAMES)
    at.selectbox(key="evidence").select("panned.mp4").run()
    at.button(key="examine").click().run()
    settled(at)
    assert shown(at)["evidence"]["name"] == "panned.mp4"
    assert resources.analyses().evidence_file(at.session_state[state.VIDEO_RESULT]) is not None


def test_one_file_under_one_set_of_settings_is_examined_once(examined, clip, monkeypatch):
    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", lambda *_, **__: pytest.fail("examined again"))
    again = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    again.switch_page("../pages/video.py").run()
    settled(upload(again, clip))
    assert again.session_state[state.VIDEO_RESULT] == examined.session_state[state.VIDEO_RESULT]


def test_a_visit_that_lost_its_job_can_follow_it(page, clip, monkeypatch):
    gate = threading.Event()

    def waiting(*_, **__):
        assert gate.wait(TIMEOUT)
        raise Cancelled("The analysis was cancelled.")

    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", waiting)
    upload(page, clip, "followed.mp4")
    other = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    other.switch_page("../pages/video.py").run()
    assert "Running: Examining followed" in page_text(other)
    other.button(key="follow-0").click().run()
    assert other.session_state[state.VIDEO_JOB] == page.session_state[state.VIDEO_JOB]
    gate.set()
    settled(other)
    assert "was cancelled" in page_text(other)


def test_markup_in_a_file_name_is_shown_not_run(page, clip):
    settled(upload(page, clip, "<b>:red[x]</b>**y**.mp4"))
    assert "<b>:red" not in page_text(page)
    assert "\\<b\\>" in page_text(page)


def test_a_video_that_is_dropped_on_the_page_image_is_analyzed_on_its_own_page(clip):
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
    at.file_uploader(key="upload").upload(clip.name, clip.read_bytes(), "application/octet-stream").run()
    settled(at)
    assert [header.value for header in at.header] == ["Video"]
    assert shown(at)["evidence"]["name"] == clip.name
    assert at.session_state[state.RESULT] is None
    assert at.session_state[state.NOTICE] is None


def test_a_picture_that_is_dropped_on_the_page_video_is_analyzed_on_its_own_page(page):
    upload(page, GENERATED, "renamed.mp4")
    assert [header.value for header in page.header] == ["Image"]
    settled(page.switch_page("../pages/image.py"), state.IMAGE_JOB)  # AppTest goes back to where it was sent last
    assert page.session_state[state.RESULT].name == "renamed.mp4"
    assert page.session_state[state.VIDEO_RESULT] is None


def test_a_cancel_of_one_session_leaves_the_same_sample_of_another_alone(page, monkeypatch):
    def endless(*_, progress, cancel, **__):
        while not cancel():
            time.sleep(0.01)
        raise Cancelled("The analysis was cancelled.")

    monkeypatch.setattr("faceloupe.ui.jobs.tasks.analyze", endless)
    resources.analyses.clear()  # another test may have examined the sample
    other = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for at in (page.switch_page("../pages/start.py"), other):
        at.run().button(key="sample-two-shots").click().run()
        assert not at.exception
    mine, theirs = (resources.long_jobs().get(at.session_state[state.VIDEO_JOB]) for at in (page, other))
    try:
        next(button for button in page.button if button.label == "Cancel").click().run()
        assert (mine.live, theirs.live) == (False, True)
    finally:
        theirs.cancel()
