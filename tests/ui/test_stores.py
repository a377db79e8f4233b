"""What sessions share of recent work."""

import numpy as np

from faceloupe.media.intake import take_in_bytes
from faceloupe.pipeline import Analysis, FrameView
from faceloupe.ui.stores import AnalysisKey, AnalysisStore, FrameStore
from tests.ui.reports import track

KEYS = [AnalysisKey(str(number), "n", "w", "s") for number in range(3)]


def test_a_video_is_kept_with_its_file_and_both_count():
    upload = take_in_bytes(bytes(1_000_000), "clip.mp4", max_bytes=2_000_000)
    analysis = Analysis({}, None, tracks=(track([0.2, 0.3]),))
    store = AnalysisStore(capacity_bytes=2_500_000)
    for key in KEYS:
        store.put(key, analysis, upload)
    assert [store.get(key) is None for key in KEYS] == [True, False, False]
    assert store.intake(KEYS[0]) is None
    assert store.intake(KEYS[2]) is upload


def test_thumbnails_of_a_video_count():
    analysis = Analysis({}, None, tracks=(track([0.2] * 100),))
    thumbs = sum(len(look.thumb) for look in analysis.tracks[0].looks)
    store = AnalysisStore(capacity_bytes=2 * thumbs)
    for key in KEYS:
        store.put(key, analysis)
    assert store.get(KEYS[0]) is None
    assert store.get(KEYS[1]) is analysis


def test_frames_are_kept_within_their_bound():
    view = FrameView(0, 0.0, np.zeros((100, 100, 3), np.uint8), ())
    store = FrameStore(capacity_bytes=2 * view.rgb.nbytes)
    for index in range(3):
        store.put((KEYS[0], index), view)
    assert [store.get((KEYS[0], index)) is None for index in range(3)] == [True, False, False]
