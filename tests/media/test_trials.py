"""Files that users of such tools report: each is examined as a player shows it, or refused by its true name."""

import os
from pathlib import Path

import pytest

from faceloupe.batch.inputs import listed
from faceloupe.batch.readers import Reader
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.installation import ROOT
from faceloupe.media.evidence_file import open_evidence
from faceloupe.media.image import refuse_unfit
from faceloupe.media.sandbox.image import decode
from faceloupe.media.sandbox.video import IsolatedVideo

TRIALS = Path(os.environ.get("FACELOUPE_TRAINING_DATA") or ROOT.parent / "shared" / "data") / "trials"
SETTINGS = Settings()
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not TRIALS.is_dir(), reason="the trial files are not here; set FACELOUPE_TRAINING_DATA"),
]


@pytest.mark.parametrize(
    ("name", "found", "sizes"),
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
def test_every_frame_of_a_video_is_decoded_in_the_size_that_a_player_shows(name, found, sizes):
    evidence_file = open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes)
    assert (evidence_file.evidence.format, evidence_file.evidence.media_type) == (found, "video")
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
    ("name", "words"),
    [
        ("17_ts_cut_in_packet.ts", "holds H.264 video, but not what its decoding starts from"),
        ("23_encrypted_cenc.mp4", "The video is encrypted"),
    ],
)
def test_a_video_that_nothing_can_decode_is_refused_by_its_true_reason(name, words):
    evidence_file = open_evidence(TRIALS / name, max_bytes=SETTINGS.max_bytes)
    with evidence_file.open() as stream, pytest.raises(EvidenceError, match=words):
        IsolatedVideo(evidence_file, stream, settings=SETTINGS)


def test_camera_raw_is_named():
    evidence_file = open_evidence(TRIALS / "29_canon.cr3", max_bytes=SETTINGS.max_bytes)
    with pytest.raises(EvidenceError, match=r"camera RAW file \(CR3\): develop it, or extract its JPEG"):
        refuse_unfit(evidence_file, max_bytes=SETTINGS.max_bytes)


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


def test_names_in_archives_and_system_files_are_what_they_are():
    (japanese,) = listed([str(TRIALS / "26_cp932_names.zip")])
    assert japanese.member_name == r"\x8f\xd8\x8b\x92\x8e\xca_.jpg"
    reader = Reader()
    members = {one.member_name: reader.identify(one).system_file for one in listed([str(TRIALS / "27_macos.zip")])}
    reader.close()
    assert [name for name, system_file in members.items() if system_file] == [
        "__MACOSX/._IMG_1.jpg",
        ".DS_Store",
        "Thumbs.db",
    ]
