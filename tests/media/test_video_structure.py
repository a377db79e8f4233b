"""The structure of video files, compared with the options of the encoder."""

import io
import struct

import av
import numpy as np
import pytest

from tests.forensics import files
from tests.media.test_metadata import read


def clip(form: str = "mp4", *, frames: int = 25, gap: int = 10, between: int = 0, flags: str = "") -> bytes:
    """Frames of 1/25 s, with a key frame each ``gap`` frames and so many frames that are stored out of order."""
    target = io.BytesIO()
    with av.open(target, "w", format=form, options={"movflags": flags} if flags else {}) as output:
        track = output.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.codec_context.options = {"g": str(gap), "bf": str(between), "sc_threshold": "0", "b_strategy": "0"}
        for seed in range(frames):
            output.mux(track.encode(av.VideoFrame.from_ndarray(np.asarray(files.picture(seed)), "rgb24")))
        output.mux(track.encode())
    return target.getvalue()


def structure(content: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in read(content).statements if entry.structure == "structure"}


def test_the_rhythm_of_frames_is_that_of_the_encoder():
    stated = structure(clip())
    assert stated["frames read"] == "25"
    assert stated["key frames"] == "3"
    assert stated["frames from one key frame to the next"] == "10 each"
    assert stated["seconds from one frame to the next"] == "0.04 each"
    assert stated["frames shown before one that is stored earlier"] == "0"


def test_frames_stored_out_of_order_are_counted():
    assert int(structure(clip(between=2))["frames shown before one that is stored earlier"]) >= 8


@pytest.mark.parametrize(
    ("flags", "order", "inner"),
    [
        ("", "ftyp, free, mdat, moov (", "trak (tkhd, edts (elst), mdia (mdhd, hdlr, minf ("),
        ("frag_keyframe+empty_moov", "ftyp, moov (", "moof (mfhd, traf ("),
    ],
)
def test_boxes_are_named_in_their_order(flags, order, inner):
    tree = structure(clip(flags=flags))["boxes"]
    assert tree.startswith(order)
    assert inner in tree


def test_an_edit_list_is_put_into_words():
    content = clip(between=2)
    at = content.index(b"elst") + 8
    count, duration, start = struct.unpack_from(">IIi", content, at)
    assert count == 1
    assert structure(content)["edit list"] == f"track 1: from {start} for {duration} at rate 1"


def test_another_container_states_its_rhythm_alone():
    assert "boxes" not in structure(clip("matroska"))
    assert structure(clip("matroska"))["key frames"] == "3"


def test_boxes_that_hold_themselves_end():
    inner = b""
    for _ in range(2000):
        inner = struct.pack(">I4s", len(inner) + 8, b"moov") + inner
    content = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + inner
    assert read(content).statements[0].value.count("moov") < 20
