import os

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.analysis.results import DISPLAY_SIDE, Canvas
from faceloupe.errors import UsageError
from faceloupe.report import write
from faceloupe.report.build import build
from faceloupe.report.drawing import overlays
from faceloupe.types import Outcome
from tests.conftest import GENERATED
from tests.report_json import report_json


def test_a_weak_map_looks_weak():
    gray = np.full((64, 64, 3), 128, np.uint8)
    strengths = []
    for share in (0.0, 0.05, 0.3, 1.0):
        heatmap = np.full((64, 64), share, np.float32)
        strengths.append(np.abs(overlays.blend(gray, heatmap, 1.0, 0.7).astype(int) - 128).mean())
    assert strengths[0] == 0
    assert strengths == sorted(strengths)
    assert strengths[1] < strengths[3] / 2


def test_the_scale_is_fixed_not_the_maps_own():
    gray = np.full((64, 64, 3), 128, np.uint8)
    heatmap = np.zeros((64, 64), np.float32)
    heatmap[:32] = 0.1
    alone = overlays.blend(gray, heatmap, 1.0, 0.7)
    heatmap[32:] = 0.9
    assert np.array_equal(overlays.blend(gray, heatmap, 1.0, 0.7)[:32], alone[:32])


def test_opacity_zero_shows_the_picture_itself(portrait):
    heatmap = np.full(portrait.shape[:2], 0.5, np.float32)
    assert np.array_equal(overlays.blend(portrait, heatmap, 1.0, 0.0), portrait)


def test_colors_get_lighter_with_the_value_everywhere():
    colors = overlays.color_map(np.linspace(0, 1, 256)).astype(float)
    luminance = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= -1.0).all()
    assert luminance[-1] > luminance[0] + 150


def test_every_outcome_has_its_own_shape_and_word():
    assert len({overlays.SHAPES[outcome] for outcome in Outcome}) == 5
    assert len({overlays.outcome_words(outcome) for outcome in Outcome}) == 5


@pytest.fixture(scope="module")
def analysis(analyzer, settings):
    return analyze(GENERATED, analyzer)


def test_drawing_boxes_leaves_the_source_alone(analysis):
    before = analysis.canvas.rgb.copy()
    drawn = overlays.boxes(analysis.canvas, analysis.faces)
    assert np.array_equal(analysis.canvas.rgb, before)
    assert not np.array_equal(drawn, before)


def test_the_heatmap_lies_on_the_face_and_nowhere_else(analysis):
    canvas, face = analysis.canvas, next(face for face in analysis.faces if face.heatmap is not None)
    plain = overlays.boxes(canvas, analysis.faces)
    laid = overlays.source_overlay(canvas, analysis.faces, report_json(analysis)["model"]["explanation_max"], 0.7)
    changed = (plain != laid).any(2)
    x0, y0, x1, y1 = (int(value) for value in face.crop_box.corners)
    outside = changed.copy()
    outside[y0:y1, x0:x1] = False
    assert changed[y0:y1, x0:x1].any()
    assert not outside.any()


def test_the_scale_is_in_the_language_of_the_reader():
    english, german = (overlays.scale_bar(0.17, 300, 0.7, language) for language in ("en", "de"))
    assert english.shape == german.shape
    assert (english[:16] != german[:16]).any()  # the words
    np.testing.assert_array_equal(english[18:32], german[18:32])  # the colors
    assert (english[34:] != german[34:]).any()  # the decimal commas
    with pytest.raises(UsageError):
        overlays.scale_bar(0.17, 300, 0.7, "xx")


def test_the_written_pictures_can_be_read_and_carry_the_scale(analysis, tmp_path):
    written = {path.name for path in write.write(analysis, build(analysis), tmp_path / "new" / "folder")}
    assert {"report.json", "boxes.png", "heatmap.png"} <= written
    assert any(name.startswith("face-") and name.endswith("-heatmap.png") for name in written)
    with Image.open(tmp_path / "new" / "folder" / "heatmap.png") as heatmap:
        assert heatmap.height > analysis.canvas.rgb.shape[0]  # the scale stands below
    assert not list((tmp_path / "new" / "folder").glob("*.partial"))


def test_nothing_that_exists_is_ever_overwritten(analysis, tmp_path):
    evidence = tmp_path / "boxes.png"
    evidence.write_bytes(GENERATED.read_bytes())
    with pytest.raises(UsageError, match=r"already contains boxes\.png"):
        write.write(analysis, build(analysis), tmp_path)
    assert evidence.read_bytes() == GENERATED.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.png"]


def test_a_second_result_does_not_mix_with_the_first(analysis, tmp_path):
    write.write(analysis, build(analysis), tmp_path)
    with pytest.raises(UsageError, match="already"):
        write.write(analysis, build(analysis), tmp_path)


def test_a_huge_picture_is_shrunk_before_it_is_drawn_on(analysis):
    canvas = Canvas.of(np.zeros((4000, 6000, 3), np.uint8))
    drawn = overlays.source_overlay(canvas, analysis.faces, 1.0, 0.7)
    assert max(drawn.shape) == DISPLAY_SIDE


def test_an_analysis_holds_no_more_of_a_large_picture_than_is_drawn(analysis, analyzer, settings, tmp_path):
    with Image.open(GENERATED) as small:
        small.convert("RGB").resize((3000, 3000)).save(tmp_path / "large.png")
    large = analyze(tmp_path / "large.png", analyzer)
    assert large.canvas.rgb.shape == (DISPLAY_SIDE, DISPLAY_SIDE, 3)
    assert large.canvas.rgb.base is None  # no view that keeps the whole alive
    unlike = (overlays.boxes(large.canvas, large.faces) != large.canvas.rgb).any(2)
    x0, y0, x1, y1 = (round(value * DISPLAY_SIDE / 3000) for value in large.faces[0].box.corners)
    assert unlike[y0, x0:x1].all()
    assert unlike[y1, x0:x1].all()
    assert not unlike[y1 + 20 :].any()


def test_what_is_written_is_read_by_whom_the_user_lets(tmp_path):
    before = os.umask(0o077)
    try:
        write.publish_file(lambda path: path.write_bytes(b"x"), tmp_path / "bundle.zip")
    finally:
        os.umask(before)
    assert (tmp_path / "bundle.zip").stat().st_mode & 0o777 == 0o600


def test_a_failed_write_takes_back_what_it_wrote(analysis, tmp_path, monkeypatch):
    link, calls = os.link, []

    def full_at_the_third(source, path):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        link(source, path)

    monkeypatch.setattr(os, "link", full_at_the_third)
    with pytest.raises(UsageError, match="No space left"):
        write.write(analysis, build(analysis), tmp_path)
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_link_laid_out_for_a_temporary_file_is_not_followed(analysis, tmp_path):
    evidence = tmp_path / "evidence.jpg"
    evidence.write_bytes(b"the original")
    for name in ("report.json.partial", "boxes.png.partial"):
        (tmp_path / name).symlink_to(evidence)
    write.write(analysis, build(analysis), tmp_path)
    assert evidence.read_bytes() == b"the original"
