"""Claims about examined videos, with the real networks. The people in them are those of the bundled samples."""

import json
import os
import shutil
import threading
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze, explain_frame
from faceloupe.cli import main, report_table
from faceloupe.config import Sampling
from faceloupe.errors import Cancelled, EvidenceError, UsageError
from faceloupe.media.evidence_file import evidence_from_bytes, open_evidence
from faceloupe.report.build import build
from faceloupe.types import Outcome
from tests.clips import numbered, repeated, write_clip
from tests.conftest import GENERATED, PHOTOGRAPH, skimage_picture
from tests.report_json import report_json

WIDTH, HEIGHT = 640, 360


@cache
def person(path: Path, size: int) -> np.ndarray:
    """A portrait, ``size`` pixels square."""
    image = Image.open(path).convert("RGB")
    part = (0.2, 0.0, 0.68, 0.48) if path == PHOTOGRAPH else (0.0, 0.0, 1.0, 1.0)  # its face is small
    box = tuple(share * side for share, side in zip(part, image.size * 2, strict=True))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box))


def frame(*placed: tuple[Path, int, int], size: int = 240) -> np.ndarray:
    """A gray scene with portraits at their left upper corners."""
    rgb = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    for path, x, y in placed:
        rgb[y : y + size, x : x + size] = person(path, size)
    return rgb


@pytest.fixture(scope="module")
def two_people(tmp_path_factory) -> Path:
    """Three seconds of two people who move a little, then a cut to one of them alone for two seconds."""
    together = [frame((GENERATED, 20 + step, 60), (PHOTOGRAPH, 370 - step // 2, 80)) for step in range(75)]
    alone = [np.roll(frame((PHOTOGRAPH, 150, 50), size=300), step, axis=1)[:, ::-1] for step in range(50)]
    return write_clip(
        tmp_path_factory.mktemp("clips") / "two.mp4", together + [255 - face // 8 for face in alone][:0] + alone
    )


@pytest.fixture(scope="module")
def analysis(two_people, analyzer, settings):
    return analyze(two_people, analyzer)


def test_two_people_and_a_cut_give_three_tracks_each_with_its_own_verdict(analysis):
    report = report_json(analysis)
    assert [(cut["after_index"], cut["before_index"]) for cut in report["cuts"]] == [(74, 75)]
    assert [(track["shot"], track["frames_found"] >= 12) for track in report["faces"]] == [
        (0, True),
        (0, True),
        (1, True),
    ]
    assert all(track["score"] is not None and track["whole"]["effective_frames"] >= 1 for track in report["faces"])


def test_the_outcome_is_that_of_the_most_suspicious_track_and_names_it(analysis):
    report = report_json(analysis)
    worst = max(report["faces"], key=lambda track: track["score"])
    assert (report["outcome"], report["score"], report["log10_lr"]) == (
        worst["outcome"],
        worst["score"],
        worst["log10_lr"],
    )
    assert report["reason"].startswith(f"track {worst['id']} is the most suspicious of 3: ")


def test_the_table_shows_each_person_above_its_shots_with_the_reports_numbers(analysis):
    report = build(analysis)
    rows = report_table.table(report).partition("Seen (frames scored)")[2].splitlines()[1:]
    assert len(rows) == len(report.people) + len(report.tracks)
    expected = []
    for person, tracks in report.people_with_shots:
        expected.append(f"{person.id} {person.outcome} {person.pooled.score:.2f}")
        expected += [f"{track.id} {track.shot} {track.outcome} {track.score:.2f}" for track in tracks]
    for row, numbers in zip(rows, expected, strict=True):
        assert " ".join(row.split()).startswith(numbers)


def test_every_sampled_frame_stands_in_the_report_with_its_faces(analysis):
    report = report_json(analysis)
    assert 32 <= len(report["frames"]) <= 34
    assert [frame["index"] for frame in report["frames"]] == sorted(frame["index"] for frame in report["frames"])
    for entry in report["frames"]:
        assert entry["time_s"] == pytest.approx(entry["index"] / 25, abs=1e-6)
        assert len(entry["faces"]) == (2 if entry["index"] < 75 else 1)
    for track in report["faces"]:
        mine = [face for entry in report["frames"] for face in entry["faces"] if face["id"] == track["id"]]
        assert track["frames_found"] == len(mine)
        assert track["frames_scored"] == sum(face["score"] is not None for face in mine)


def test_a_tracks_score_is_the_pooled_score_of_its_frames_and_lies_among_them(analysis, analyzer):
    for track in report_json(analysis)["faces"]:
        scores = [
            face["score"]
            for entry in report_json(analysis)["frames"]
            for face in entry["faces"]
            if face["id"] == track["id"] and face["score"] is not None
        ]
        low, high = track["whole"]["score_interval_95"]
        assert min(scores) <= track["whole"]["score"] <= max(scores)
        assert low < track["whole"]["score"] < high
        assert track["whole"]["frames"] == len(scores)


def test_a_frames_score_is_what_a_still_of_it_gets_within_the_change_of_the_box(
    analysis, two_people, analyzer, settings
):
    """The plain path: the frame alone, as a picture, with full-size detection."""
    evidence_file = open_evidence(two_people, max_bytes=settings.max_bytes)
    differences = []
    for entry in report_json(analysis)["frames"][::4]:
        view = explain_frame(evidence_file, analysis, entry["index"], analyzer)
        for face in view.faces:
            here = next(scored for scored in entry["faces"] if scored["id"] == face.id)
            assert here["score"] == pytest.approx(face.score, abs=1e-5)
        for result in analyzer.detector.detect(view.rgb):
            near = min(entry["faces"], key=lambda face: abs(face["box"][0] - result.box.x0))
            plain = analyzer.scorer.probability(
                float(analyzer.scorer.logits([analyzer.scorer.view(view.rgb, result.box)])[0])
            )
            differences.append(near["score"] - plain)
    assert abs(np.mean(differences)) < 0.02


def test_a_clicked_frame_comes_with_its_boxes_and_heatmaps(analysis, two_people, analyzer, settings):
    evidence_file = open_evidence(two_people, max_bytes=settings.max_bytes)
    entry = report_json(analysis)["frames"][3]
    view = explain_frame(evidence_file, analysis, entry["index"], analyzer)
    assert view.rgb.shape == (HEIGHT, WIDTH, 3)
    assert float(view.time_s) == pytest.approx(entry["time_s"])
    assert sorted(face.id for face in view.faces) == sorted(face["id"] for face in entry["faces"])
    assert all(face.heatmap.shape == face.crop.shape[:2] for face in view.faces)


def test_each_scored_track_is_explained_at_its_strongest_frame(analysis):
    for track, entry in zip(analysis.tracks, report_json(analysis)["faces"], strict=True):
        assert track.heatmap.shape == track.crop.shape[:2]
        assert entry["shown_frame"]["score"] == max(observation.score for observation in track.scored)
        assert entry["heat_peak"] == pytest.approx(float(track.heatmap.max()))


def test_a_person_on_both_sides_of_a_cut_is_said_to_look_alike_or_not_never_identified(analysis):
    tracks = sorted(number for entry in report_json(analysis)["people"] for number in entry["tracks"])
    assert tracks == [1, 2, 3]
    linked = any(len(entry["tracks"]) > 1 for entry in report_json(analysis)["people"])
    assert any("does not identify anyone" in line for line in report_json(analysis)["scope"]) == linked


def test_a_repeated_analysis_gives_the_same_report(two_people, analysis, analyzer, settings):
    again = report_json(analyze(two_people, analyzer))
    drop = {"created_utc", "timing"}
    assert {k: v for k, v in again.items() if k not in drop} == {
        k: v for k, v in report_json(analysis).items() if k not in drop
    }


def test_an_upload_and_a_path_give_the_same_scores(two_people, analysis, analyzer, settings):
    upload = evidence_from_bytes(two_people.read_bytes(), two_people.name, max_bytes=settings.max_bytes)
    report = report_json(analyze(upload, analyzer, explain=False))
    assert report["frames"] == report_json(analysis)["frames"]
    assert report["evidence"] == report_json(analysis)["evidence"]


def test_a_short_stretch_of_another_face_in_a_long_clip_shows_with_its_time(tmp_path, analyzer, settings):
    """A generated face is shown for two of twenty seconds at the same position; its track or shot must stand out."""
    frames = [frame((GENERATED if 200 <= step < 250 else PHOTOGRAPH, 200, 60)) for step in range(500)]
    report = report_json(analyze(write_clip(tmp_path / "a.mp4", frames), analyzer, sampling=Sampling(frames=80)))
    quiet = max(t["whole"]["score"] for t in report["faces"] if t["last_s"] < 7.9 or t["first_s"] > 10)
    loud = [t for t in report["faces"] if t["whole"]["score"] > quiet + 0.1]
    assert loud
    assert all(7.9 <= track["first_s"] <= track["last_s"] <= 10.1 for track in loud)


@pytest.fixture(scope="module")
def swaying() -> list[np.ndarray]:
    """A second of a portrait that sways before a picture of fine detail."""
    scene = np.asarray(Image.open(skimage_picture("coffee.png")).convert("RGB").resize((WIDTH, HEIGHT)))
    frames = []
    for step in range(25):
        rgb = scene.copy()
        rgb[60:300, 180 + step : 420 + step] = person(GENERATED, 240)
        frames.append(rgb)
    return frames


def _padded(rgb: np.ndarray) -> np.ndarray:
    return np.pad(rgb, ((120, 120), (80, 80), (0, 0)))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda rgb: np.rot90(rgb, 1), "tilted"),
        (lambda rgb: np.rot90(rgb, 2), "tilted"),
        (lambda rgb: np.rot90(rgb, 3), "tilted"),
        (_padded, "ground of one color"),
        (lambda rgb: _padded(np.rot90(rgb, 1)), "tilted"),
    ],
    ids=["left", "on its head", "right", "bars", "left with bars"],
)
def test_a_video_that_lies_or_has_bars_is_scored_as_one_that_stands(tmp_path, analyzer, swaying, change, note):
    upright = analyze(write_clip(tmp_path / "a.mp4", swaying, options={"crf": "12"}), analyzer)
    changed_frames = [np.ascontiguousarray(change(rgb)) for rgb in swaying]
    path = write_clip(tmp_path / "b.mp4", changed_frames, options={"crf": "12"})
    analysis = analyze(path, analyzer)
    (before,), (track,) = upright.tracks, analysis.tracks
    assert not upright.notes
    assert any(note in text for text in analysis.notes)
    assert len(track.scored) == len(before.scored) == 25
    assert track.raw_logit == pytest.approx(before.raw_logit, abs=0.4)
    assert analysis.outcome is upright.outcome
    strongest = track.strongest
    explained = explain_frame(open_evidence(path, max_bytes=10**9), analysis, strongest.frame, analyzer)
    (face,) = explained.faces
    assert face.score == pytest.approx(strongest.score, abs=1e-6)
    x0, y0, x1, y1 = (round(value) for value in face.crop_box.corners)
    inside = explained.rgb[max(y0, 0) : y1, max(x0, 0) : x1]
    assert inside.mean() == pytest.approx(track.crop.mean(), abs=10)  # it lies on the face, not beside it
    assert 0 <= face.crop_box.x0 <= face.crop_box.x1 <= explained.rgb.shape[1]
    assert 0 <= face.crop_box.y0 <= face.crop_box.y1 <= explained.rgb.shape[0]


def test_tilted_faces_of_a_video_are_turned_upright_and_their_report_is_written(tmp_path, analyzer, swaying):
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 20, 1.0)
    tilted = [cv2.warpAffine(rgb, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT) for rgb in swaying]
    report = report_json(analyze(write_clip(tmp_path / "a.mp4", tilted), analyzer))
    assert "In 25 of 25 frames a face is tilted; it was turned upright before scoring." in report["evidence"]["notes"]
    assert report["faces"][0]["roll_deg"] < -12


@pytest.mark.slow
def test_a_face_in_twelve_short_shots_is_pooled_over_them_and_no_other_face_is(tmp_path, analyzer):
    """The bundled portrait and the bundled photograph in turn, 1.6 seconds each: as an editor cuts them."""
    shots = []
    for path, width, left in ((GENERATED, 640, 0), (PHOTOGRAPH, 900, 150)):
        picture = Image.open(path).convert("RGB")
        picture = picture.resize((width, round(picture.height * width / picture.width)))
        for number in range(8):
            top = 40 + round(4 * np.sin(number))
            shots.append(np.asarray(picture.crop((left, top, left + 640, top + 360))))
    clip = write_clip(tmp_path / "a.mp4", shots, fps=5, gop=8, options={"crf": "20", "bf": "0"})
    analysis = analyze(repeated(clip, 12, tmp_path / "edited.mp4"), analyzer, explain=False)
    assert analysis.outcome is Outcome.MANIPULATED
    manipulated = [person for person in analysis.video.persons if person.outcome is Outcome.MANIPULATED]
    (person,) = manipulated
    assert len(person.agreeing) == 12
    assert "shot 0 (" in person.reason
    by_track = {track.id: track.shot for track in analysis.tracks}
    assert {by_track[number] % 2 for number in person.tracks} == {0}  # of the portrait alone


def test_a_stretch_can_be_looked_at_closer(two_people, analyzer, settings):
    closer = Sampling(frames=25, start_s=1.0, end_s=2.0)
    report = report_json(analyze(two_people, analyzer, sampling=closer, explain=False))
    assert [entry["index"] for entry in report["frames"]] == list(range(25, 50))
    assert (report["settings"]["from_s"], report["settings"]["to_s"]) == (1.0, 2.0)
    assert report["reason"].endswith("; only 1.00 s to 2.00 s of the video were analyzed")
    assert "all from 1.00 s to 2.00 s; the rest of the video was not." in " ".join(report["scope"])
    assert report["segment"] == {"start_s": 1.0, "end_s": 2.0}
    with pytest.raises(UsageError, match=r"is not in the video, which lasts 5\.00 s"):
        analyze(two_people, analyzer, sampling=Sampling(start_s=9.0))


def test_a_stretch_that_is_the_whole_video_is_not_called_one(two_people, analyzer, settings):
    report = report_json(analyze(two_people, analyzer, sampling=Sampling(end_s=99.0), explain=False))
    assert report["segment"] is None
    assert "were analyzed" not in report["reason"]


def test_the_work_can_be_stopped_on_the_way_and_nothing_goes_on_behind_it(two_people, analyzer, settings):
    seen: list[float] = []
    with pytest.raises(Cancelled):
        analyze(
            two_people,
            analyzer,
            progress=lambda stage, share: seen.append(share),
            cancel=lambda: len(seen) > 3,
        )
    assert seen == sorted(seen)
    assert seen[-1] < 0.9
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}


def test_the_evidence_is_only_ever_read(two_people, analyzer, settings):
    before = two_people.read_bytes(), two_people.stat().st_mtime_ns
    two_people.chmod(0o444)
    analyze(two_people, analyzer, explain=False)
    assert (two_people.read_bytes(), two_people.stat().st_mtime_ns) == before


# Bad and odd input: each ends with a report, or with one sentence.


def portrait(count: int = 1, size: int = 256) -> list[np.ndarray]:
    return [person(GENERATED, size)] * count


def broken(folder: Path) -> dict[str, Path]:
    """Unreadable files, by their fault."""
    clip = write_clip(folder / "whole.mp4", numbered(50)).read_bytes()
    files = {
        "truncated.mp4": clip[:-2000],  # its index lies at the end
        "empty.mp4": b"",
        "text.mp4": b"not a video\n",
        "header.mp4": clip[:40],
        "noise.mkv": b"\x1aE\xdf\xa3" + os.urandom(5000),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_clip(folder / "audio.mp4", [], audio="aac")
    return {name: folder / name for name in (*files, "audio.mp4")}


@pytest.mark.parametrize("name", ["truncated.mp4", "empty.mp4", "text.mp4", "header.mp4", "noise.mkv", "audio.mp4"])
def test_a_file_of_which_nothing_can_be_read_ends_as_an_error_in_one_sentence(tmp_path, capfd, name):
    path = broken(tmp_path)[name]
    before = path.read_bytes()
    assert main.main(["analyze", str(path), "--json"]) == 2
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert (report["outcome"], report["score"], report["faces"]) == ("error", None, [])
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert path.read_bytes() == before


def test_what_a_damaged_middle_leaves_is_examined_and_what_it_takes_is_named(tmp_path, analyzer, settings):
    noisy = [
        np.clip(rgb.astype(np.int16) + np.random.default_rng(n).integers(-20, 21, rgb.shape), 0, 255).astype(np.uint8)
        for n, rgb in enumerate([frame((GENERATED, 200, 60))] * 120)
    ]
    path = write_clip(tmp_path / "a.mkv", noisy, gop=10)
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + third // 2] = os.urandom(third // 2)
    path.write_bytes(content)
    report = report_json(analyze(path, analyzer, explain=False))
    assert report["outcome"] != "error"
    assert report["unread_frames"]
    assert report["frames"]
    assert any("could not be decoded" in note for note in report["evidence"]["notes"])
    assert "could not be read" in report["reason"]


def test_a_still_under_a_video_name_is_examined_as_the_still_it_is(tmp_path, analyzer, settings):
    shutil.copy(GENERATED, tmp_path / "still.mp4")
    report = report_json(analyze(tmp_path / "still.mp4", analyzer, explain=False))
    assert (report["evidence"]["media_type"], report["evidence"]["format"]) == ("image", "JPEG")
    assert report["score"] is not None


def test_a_video_under_a_still_name_is_examined_as_the_video_it_is(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", portrait(4)).rename(tmp_path / "a.jpg")
    report = report_json(analyze(path, analyzer, explain=False))
    assert (report["evidence"]["media_type"], report["evidence"]["format"], len(report["frames"])) == (
        "video",
        "MP4",
        4,
    )


def test_a_single_frame_is_judged_alone_and_has_a_wide_interval(tmp_path, analyzer, settings):
    report = report_json(analyze(write_clip(tmp_path / "a.mp4", portrait(1)), analyzer, explain=False))
    (track,) = report["faces"]
    assert track["frames_scored"] == 1
    assert track["whole"]["effective_frames"] == 1.0
    low, high = track["whole"]["score_interval_95"]
    assert high - low > 0.05


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one-fps.mp4", {"fps": 1}),
        ("variable.mkv", {"times": [Fraction(n * n, 50) for n in range(12)]}),
        ("upright.mov", {"rotation": 90}),
        ("live.mkv", {"container_options": {"live": "1"}}),
        ("old.avi", {"codec": "mpeg4"}),
        ("old.mpg", {"codec": "mpeg1video"}),
        ("web.webm", {"codec": "libvpx-vp9", "pix_fmt": "yuva420p"}),
        ("motion.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ],
)
def test_odd_but_whole_videos_are_examined(tmp_path, analyzer, settings, name, options):
    stored = portrait(12)
    if options.get("rotation"):
        stored = [
            np.rot90(entry) for entry in stored
        ]  # a quarter turn against the clock, which the container takes back
    report = report_json(analyze(write_clip(tmp_path / name, stored, **options), analyzer, explain=False))
    assert report["outcome"] != "error", report["reason"]
    assert len(report["frames"]) == 12
    assert len(report["faces"]) == 1
    assert report["faces"][0]["frames_found"] == 12
    times = [entry["time_s"] for entry in report["frames"]]
    assert times == sorted(times)
    if name == "variable.mkv":
        assert report["video"]["variable_frame_rate"]
        assert times == pytest.approx([n * n / 50 for n in range(12)], abs=1e-3)


def test_a_tiny_video_has_no_face_and_no_score(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", [np.full((8, 8, 3), 90, np.uint8)] * 5)
    report = report_json(analyze(path, analyzer))
    assert (report["outcome"], report["score"]) == ("not_applicable", None)
    assert "no face of" in report["reason"]


def test_a_4k_video_is_examined(tmp_path, analyzer, settings):
    big = cv2.resize(person(PHOTOGRAPH, 512), (3840, 2160))
    path = write_clip(tmp_path / "a.mp4", [big] * 3, options={"preset": "ultrafast"})
    report = report_json(analyze(path, analyzer, explain=False))
    assert (report["evidence"]["width"], report["evidence"]["height"], len(report["frames"])) == (3840, 2160, 3)


def test_a_video_larger_than_the_pixel_limit_is_refused_before_it_is_decoded(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", portrait(3))
    strict = replace(analyzer, settings=replace(settings, max_pixels=1000))
    report = report_json(analyze(path, strict))
    assert report["outcome"] == "error"
    assert "limit is 1,000 pixels" in report["reason"]


def test_a_file_that_changes_while_it_is_examined_gets_no_verdict(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", portrait(40))

    def meddle(stage: str, share: float) -> None:
        if share > 0.5:
            os.utime(path, ns=(1, 1))

    report = report_json(analyze(path, analyzer, progress=meddle))
    assert (report["outcome"], report["score"]) == ("error", None)
    assert "changed during the analysis" in report["reason"]


def test_a_file_that_is_deleted_while_it_is_examined_is_still_examined_whole(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", portrait(20))

    def delete(stage: str, share: float) -> None:
        if share > 0.3:
            path.unlink(missing_ok=True)

    report = report_json(analyze(path, analyzer, explain=False, progress=delete))
    assert report["outcome"] != "error"
    assert len(report["frames"]) == 20


def test_a_frame_of_a_file_that_changed_since_is_not_shown(tmp_path, analyzer, settings):
    path = write_clip(tmp_path / "a.mp4", portrait(4))
    evidence_file = open_evidence(path, max_bytes=settings.max_bytes)
    examined = analyze(evidence_file, analyzer, explain=False)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(EvidenceError, match="changed"):
        explain_frame(evidence_file, examined, 0, analyzer)


def test_a_cartoon_that_the_face_finder_half_believes_is_not_scored(tmp_path, analyzer, settings):
    """The cat of scikit-image and a drawn face get no verdict, even if a face is detected."""
    cat = np.asarray(Image.open(skimage_picture("chelsea.png")).convert("RGB"))[:300, :450]
    report = report_json(analyze(write_clip(tmp_path / "a.mp4", [cat] * 8), analyzer))
    assert report["outcome"] == Outcome.NOT_APPLICABLE


def test_sessions_that_examine_at_once_get_their_own_results(two_people, analysis, analyzer, settings, tmp_path):
    other = write_clip(tmp_path / "b.mp4", portrait(30))
    results: dict[str, dict] = {}

    def work(name: str, path: Path) -> None:
        results[name] = report_json(analyze(path, analyzer, explain=False))

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", two_people), ("b", other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["a"]["frames"] == report_json(analysis)["frames"]
    assert len(results["b"]["faces"]) == 1
