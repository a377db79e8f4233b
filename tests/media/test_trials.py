"""Files from bug reports of similar tools: each is examined as a viewer shows it, or refused with its true format."""

import os
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.batch.inputs import listed
from faceloupe.batch.readers import Reader
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.installation import ROOT
from faceloupe.media.evidence import Shown
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.image import decodable
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.training.settings import CARD_CORE
from faceloupe.types import Outcome

TRIALS = Path(os.environ.get("FACELOUPE_TRAINING_DATA") or ROOT.parent / "shared" / "data") / "trials"
SETTINGS = Settings()
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not TRIALS.is_dir(), reason="the trial files are not here; set FACELOUPE_TRAINING_DATA"),
]


@pytest.mark.parametrize(
    ("name", "format_name", "sizes"),
    [
        ("10_camera_stream.mjpeg", "MJPEG", {(960, 540): 10}),
        ("12_iphone_hlg_portrait.mov", "QuickTime", {(960, 540): 100}),
        ("13_anamorphic_2to1.mp4", "MP4", {(960, 540): 100}),
        ("14_webrtc_size_changes.webm", "Matroska", {(320, 180): 25, (960, 540): 125}),
        ("15_ts_size_changes.ts", "MPEG-TS", {(640, 360): 50, (960, 540): 52}),
        ("16_avchd_192byte.m2ts", "MPEG-TS", {(960, 540): 100}),
        ("18_theora.ogv", "Ogg", {(960, 540): 100}),
        ("19_wmv2.wmv", "ASF", {(960, 540): 100}),
        ("20_h264.flv", "FLV", {(960, 540): 100}),
        ("21_raw.h264", "H.264", {(960, 540): 100}),
        ("22_brand_iso8.mp4", "MP4", {(960, 540): 100}),
        ("30_control_8s.mp4", "MP4", {(640, 360): 40}),
    ],
)
def test_every_frame_of_a_video_is_decoded_in_the_size_that_a_player_shows(name, format_name, sizes):
    evidence_file = open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes)
    assert (evidence_file.evidence.format, evidence_file.evidence.media_type) == (format_name, "video")
    seen: dict[tuple[int, int], int] = {}
    with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video:
        for frame in video.walk(range(video.count), every=False):
            seen[frame.size] = seen.get(frame.size, 0) + 1
        assert (video.unreadable, seen) == ([], sizes)


def test_brightness_and_pixel_shape_are_those_that_a_player_shows_and_stand_in_the_facts():
    shown = {}
    for name in ("12_iphone_hlg_portrait.mov", "13_anamorphic_2to1.mp4"):
        evidence_file = open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes)
        with evidence_file.open() as stream, IsolatedVideo(evidence_file, stream, settings=SETTINGS) as video:
            shown[name[:2]] = video.facts.shown
    assert shown["12"].transfer == "HLG to sRGB, 203 cd/m2 to white"
    assert shown["12"].orientation == "turned 90 degrees clockwise"
    assert shown["13"].pixel_aspect == "2:1 to square pixels"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("17_ts_cut_in_packet.ts", "holds H.264 video, but not what its decoding starts from"),
        ("23_encrypted_cenc.mp4", "The video is encrypted"),
    ],
)
def test_a_video_that_nothing_can_decode_is_refused_by_its_true_reason(name, message):
    evidence_file = open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes)
    with evidence_file.open() as stream, pytest.raises(EvidenceError, match=message):
        IsolatedVideo(evidence_file, stream, settings=SETTINGS)


def test_camera_raw_is_named():
    evidence_file = open_evidence(TRIALS / "29_canon.cr3", max_bytes=SETTINGS.max_bytes)
    with pytest.raises(EvidenceError, match=r"camera RAW file \(CR3\): develop it, or extract its JPEG"):
        decodable(evidence_file, max_bytes=SETTINGS.max_bytes)


@pytest.mark.parametrize(
    ("name", "kind", "offset", "size"),
    [
        ("08_motion_photo.jpg", "a video (MP4; motion photo)", 76_948, 377_440),
        ("09_two_jpegs.jpg", "a further picture (JPEG)", 76_124, 80_400),
    ],
)
def test_what_lies_behind_a_picture_is_named_with_its_place_and_size(name, kind, offset, size):
    (piece,) = decode(open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes), settings=SETTINGS).embedded
    assert (piece.kind, piece.offset, piece.size) == (kind, offset, size)


@pytest.fixture(scope="module")
def control(analyzer):
    return analyze(TRIALS / "00_control_generated-portrait.jpg", analyzer, explain=False)


@pytest.mark.parametrize(
    ("name", "within", "shown"),
    [
        ("01_icc_channels_swapped.jpg", 0.02, Shown(color='ICC profile "sRGB built-in" to sRGB')),
        ("02_png_gama_linear.png", 0.05, Shown(transfer="gAMA 1.00000 to sRGB")),
        (
            "03_png_cicp_pq.png",
            0.05,
            Shown(color="BT.2020 primaries to sRGB", transfer="PQ to sRGB, 203 cd/m2 to white"),
        ),
    ],
)
def test_a_picture_that_viewers_show_like_the_control_has_its_boxes_and_score(name, within, shown, control, analyzer):
    analysis = analyze(TRIALS / name, analyzer, explain=False)
    assert (analysis.outcome, analysis.shown) == (control.outcome, shown)
    assert analysis.score == pytest.approx(control.score, abs=within)
    assert analysis.decisive.box.corners == pytest.approx(control.decisive.box.corners, abs=2)


@pytest.mark.parametrize(("name", "roll"), [("04_sideways_no_exif.jpg", -90), ("05_tilted_30.jpg", -30)])
def test_a_face_at_an_angle_is_scored_upright_like_the_control_and_its_tilt_is_stated(name, roll, control, analyzer):
    analysis = analyze(TRIALS / name, analyzer, explain=False)
    assert (analysis.outcome, analysis.shown) == (control.outcome, Shown())
    assert analysis.score == pytest.approx(control.score, abs=0.05)
    face = analysis.decisive
    assert all(other.score is None for other in analysis.faces if other is not face)
    assert face.roll_deg == pytest.approx(roll, abs=5)
    assert face.turned_deg == pytest.approx(-roll, abs=5)
    assert any("turned upright" in note for note in analysis.notes)


def test_a_heic_that_ends_early_is_refused_as_damaged():
    with pytest.raises(EvidenceError, match="The HEIC data is damaged"):
        decode(open_evidence(TRIALS / "06_truncated_iphone.heic", max_bytes=SETTINGS.max_bytes), settings=SETTINGS)


def test_a_damage_in_the_face_is_named_and_takes_back_a_verdict_authentic(standard):
    scorer, record = copy(standard.scorer), standard.scorer.record
    scorer.record = replace(record, thresholds=replace(record.thresholds, lower=0.9))  # every such score is authentic
    analysis = analyze(TRIALS / "07_jpeg_damaged_in_face.jpg", replace(standard, scorer=scorer), explain=False)
    assert analysis.score < 0.9
    assert (analysis.outcome, "the picture is damaged" in analysis.reason) == (Outcome.INCONCLUSIVE, True)
    assert analysis.notes[0].startswith("The JPEG data is damaged")


def test_a_still_in_pq_is_shown_as_the_photograph_that_it_was_made_from():
    hdr, plain = (
        decode(open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes), settings=SETTINGS)
        for name in ("11_hdr_pq.avif", "08_motion_photo.jpg")
    )
    assert hdr.shown.transfer == "PQ to sRGB, 203 cd/m2 to white"
    assert np.abs(hdr.rgb.astype(int) - plain.rgb).mean() < 5  # by its compression


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("24_jpeg_without_eoi.jpg", "The JPEG data has no end marker, but the picture is complete."),
        (
            "25_xmp_orientation_only.jpg",
            "The XMP metadata states another orientation; viewers ignore it, and it was not applied.",
        ),
    ],
)
def test_an_oddity_that_changes_no_pixel_is_noted(name, note):
    odd, plain = (
        decode(open_evidence(TRIALS / entry, max_bytes=SETTINGS.max_bytes), settings=SETTINGS)
        for entry in (name, "08_motion_photo.jpg")
    )
    assert np.array_equal(odd.rgb, plain.rgb)
    assert (note in odd.notes, odd.shown) == (True, Shown())


def test_the_control_clip_is_manipulated_to_the_core_of_version_2():
    networks = Networks.load(Settings(model=CARD_CORE))
    analysis = analyze(TRIALS / "30_control_8s.mp4", networks, explain=False)
    assert (analysis.outcome, len(analysis.tracks)) == (Outcome.MANIPULATED, 1)


def test_an_undeclared_name_encoding_stays_escaped_and_system_files_are_recognized():
    (japanese,) = listed([str(TRIALS / "26_cp932_names.zip")])
    assert japanese.member_name == r"\x8f\xd8\x8b\x92\x8e\xca_.jpg"
    reader = Reader(10**8)
    members = {task.member_name: reader.identify(task).system_file for task in listed([str(TRIALS / "27_macos.zip")])}
    reader.close()
    assert [name for name, system_file in members.items() if system_file] == [
        "__MACOSX/._IMG_1.jpg",
        ".DS_Store",
        "Thumbs.db",
    ]
