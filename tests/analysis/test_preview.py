"""Evidence as it looks, without any finding."""

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.pipeline import previews
from faceloupe.analysis.results import DISPLAY_SIDE
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import evidence_from_bytes, open_evidence
from tests.clips import numbered, read_number, write_clip
from tests.conftest import PHOTOGRAPH


def test_a_still_is_its_picture(settings, tmp_path):
    (seen,) = previews(open_evidence(PHOTOGRAPH, max_bytes=10**8), settings=settings)
    assert seen.time_s is None
    assert np.array_equal(seen.rgb, np.asarray(Image.open(PHOTOGRAPH).convert("RGB")))
    with Image.open(PHOTOGRAPH) as small:
        small.convert("RGB").resize((2000, 2000)).save(tmp_path / "large.jpg")
    (seen,) = previews(open_evidence(tmp_path / "large.jpg", max_bytes=10**8), settings=settings)
    assert seen.rgb.shape == (DISPLAY_SIDE, DISPLAY_SIDE, 3)


@pytest.mark.parametrize(("frames", "expected"), [(60, [0, 8, 17, 25, 34, 42, 51, 59]), (3, [0, 1, 2])])
def test_of_a_video_frames_from_the_first_to_the_last_are_seen(settings, tmp_path, frames, expected):
    clip = write_clip(tmp_path / "a.mp4", numbered(frames))
    seen = previews(open_evidence(clip, max_bytes=10**8), settings=settings)
    assert [read_number(frame.rgb) for frame in seen] == expected
    assert [frame.time_s for frame in seen] == pytest.approx([number / 25 for number in expected])


def test_what_cannot_be_decoded_is_reported_in_one_sentence(settings):
    with pytest.raises(EvidenceError, match="neither a supported image"):
        previews(evidence_from_bytes(b"words", "a.jpg", max_bytes=100), settings=settings)
