import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.errors import Cancelled
from faceloupe.media.evidence_file import evidence_from_bytes
from tests.conftest import GENERATED, PHOTOGRAPH, skimage_picture
from tests.faces.test_detector import twelve
from tests.report_json import report_json


def test_a_score_does_not_depend_on_the_heatmap(analyzer, settings):
    with_map = report_json(analyze(GENERATED, analyzer, explain=True))
    without = report_json(analyze(GENERATED, analyzer, explain=False))
    assert with_map["score"] == pytest.approx(without["score"], abs=1e-6)
    assert with_map["outcome"] == without["outcome"]


@pytest.mark.parametrize("turns", [0, 1])
def test_the_share_of_the_heatmap_inside_the_face_is_that_of_its_box_in_the_crop(analyzer, tmp_path, turns):
    path = tmp_path / "turned.png"
    Image.open(GENERATED).rotate(-90 * turns, expand=True).save(path)
    (face,) = analyze(path, analyzer, explain=True).faces
    corners = np.array(face.box.corners).reshape(2, 2) - (face.crop_box.x0, face.crop_box.y0)
    (x0, y0), (x1, y1) = (corners * len(face.heatmap) / face.crop_box.width).round().astype(int).clip(0)
    lying = np.rot90(face.heatmap, -turns)  # as the picture lies
    assert 0.05 < face.heatmap_in_face < 0.95
    assert lying[y0:y1, x0:x1].sum() / lying.sum() == pytest.approx(face.heatmap_in_face, abs=0.02)
    assert face.turned_deg == -90 * turns
    assert analyze(path, analyzer, explain=False).faces[0].heatmap_in_face is None


def test_a_repeated_analysis_gives_the_same_report(analyzer, settings):
    first, second = (report_json(analyze(PHOTOGRAPH, analyzer)) for _ in range(2))
    for report in (first, second):
        del report["created_utc"], report["timing"]
    assert first == second


def test_an_upload_and_a_path_give_the_same_score(analyzer, settings):
    upload = evidence_from_bytes(GENERATED.read_bytes(), GENERATED.name, max_bytes=settings.max_bytes)
    from_upload = report_json(analyze(upload, analyzer))
    from_path = report_json(analyze(GENERATED, analyzer, explain=False))
    assert from_upload["score"] == pytest.approx(from_path["score"], abs=1e-6)
    assert from_upload["evidence"] == from_path["evidence"]


def test_the_evidence_is_not_touched(analyzer, settings):
    before = GENERATED.read_bytes(), GENERATED.stat().st_mtime_ns
    report = report_json(analyze(GENERATED, analyzer))
    assert (GENERATED.read_bytes(), GENERATED.stat().st_mtime_ns) == before
    assert report["evidence"]["sha256"] == hashlib.sha256(before[0]).hexdigest()


def test_score_and_ratio_follow_from_the_logit(analyzer, settings):
    report = report_json(analyze(GENERATED, analyzer))
    record = analyzer.scorer.record
    for face in report["faces"]:
        if face["score"] is not None:
            calibrator = report["model"]["calibrator"]
            scaled = face["raw_logit"] * calibrator["slope"] + calibrator["intercept"]
            expected = 1 / (1 + math.exp(-scaled))
            assert calibrator["kind"] != "isotonic"
            assert face["score"] == pytest.approx(expected, abs=1e-12)
            low, high = record.log10_lr_bounds
            assert face["log10_lr"] == pytest.approx(np.clip(math.log10(expected / (1 - expected)), low, high))


def landscape() -> Path:
    import sklearn

    return Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg"


@pytest.mark.parametrize(
    "path", [skimage_picture("chelsea.png"), skimage_picture("coffee.png"), landscape()], ids=lambda path: path.stem
)
def test_no_face_is_not_applicable_with_a_null_score(analyzer, settings, path):
    report = report_json(analyze(path, analyzer))
    assert (report["outcome"], report["score"], report["log10_lr"]) == ("not_applicable", None, None)


def test_a_black_frame_is_not_applicable(analyzer, settings, tmp_path):
    Image.new("RGB", (640, 480)).save(tmp_path / "black.png")
    report = report_json(analyze(tmp_path / "black.png", analyzer))
    assert (report["outcome"], report["faces"]) == ("not_applicable", [])


def test_one_pixel_is_not_applicable(analyzer, settings, tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "pixel.png")
    assert report_json(analyze(tmp_path / "pixel.png", analyzer))["outcome"] == "not_applicable"


def test_twelve_faces_get_twelve_verdicts(analyzer, settings, tmp_path):
    twelve().save(tmp_path / "twelve.png")
    report = report_json(analyze(tmp_path / "twelve.png", analyzer))
    assert len([face for face in report["faces"] if face["score"] is not None]) == 12
    assert report["score"] == max(face["score"] for face in report["faces"] if face["score"] is not None)


def test_a_face_of_fifteen_pixels_is_reported_or_unseen_but_never_scored(analyzer, settings, tmp_path, portrait):
    face = Image.fromarray(portrait[100:740, 200:840]).resize((32, 32), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (400, 300), (90, 120, 90))
    canvas.paste(face, (180, 120))
    canvas.save(tmp_path / "tiny.png")
    (result,) = analyzer.detector.detect(np.asarray(face.resize((320, 320))))[:1]
    assert 14 <= result.size_px / 10 <= 16
    report = report_json(analyze(tmp_path / "tiny.png", analyzer))
    assert (report["outcome"], report["score"]) == ("not_applicable", None)


def test_a_small_face_is_reported_with_what_it_would_need(analyzer, settings, tmp_path, portrait):
    side = 90  # the face in it is some 35 px wide
    face = Image.fromarray(portrait[100:740, 200:840]).resize((side, side), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (400, 300), (90, 120, 90))
    canvas.paste(face, (150, 100))
    canvas.save(tmp_path / "small.png")
    report = report_json(analyze(tmp_path / "small.png", analyzer))
    assert (report["outcome"], report["score"]) == ("not_applicable", None)
    assert "at least 48 px are needed" in report["reason"]
    assert len(report["faces"]) == 1


def test_a_blurred_face_is_reported_and_not_scored(analyzer, settings, tmp_path, portrait):
    import cv2

    Image.fromarray(cv2.GaussianBlur(portrait, (0, 0), 25)).save(tmp_path / "blurred.png")
    report = report_json(analyze(tmp_path / "blurred.png", analyzer))
    assert (report["outcome"], report["score"]) == ("not_applicable", None)
    assert report["faces"]
    assert "too blurred" in report["reason"] or "not sure" in report["reason"]


def test_a_drawn_face_ends_in_a_valid_report_that_calls_it_no_camera_picture(analyzer, settings, drawn_face):
    report = report_json(analyze(drawn_face, analyzer))
    assert report["outcome"] in ("not_applicable", "inconclusive")


def test_a_file_that_cannot_be_decoded_keeps_its_identity_in_an_error_report(analyzer, settings, tmp_path):
    (tmp_path / "text.jpg").write_bytes(b"not a picture\n")
    report = report_json(analyze(tmp_path / "text.jpg", analyzer))
    assert (report["outcome"], report["score"], report["faces"]) == ("error", None, [])
    assert report["evidence"]["sha256"] == hashlib.sha256(b"not a picture\n").hexdigest()


def test_progress_runs_forward_and_cancel_stops(analyzer, settings):
    seen = []
    analyze(GENERATED, analyzer, progress=lambda stage, share: seen.append(share))
    assert seen == sorted(seen)
    assert 0 <= seen[0] <= seen[-1] < 1
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        analyze(GENERATED, analyzer, cancel=lambda: next(calls))
