"""Caches of recent work that sessions share."""

import numpy as np
import pytest

from faceloupe.analysis.pipeline import FrameExplanation
from faceloupe.analysis.results import Analysis, Timing
from faceloupe.config import Settings, weights_folder
from faceloupe.errors import EvidenceError
from faceloupe.findings import TrackFinding
from faceloupe.media.evidence_file import evidence_from_bytes, open_evidence
from faceloupe.models.record import find_record
from faceloupe.report.build import ReportedAnalysis
from faceloupe.types import Outcome
from faceloupe.ui.caches import AnalysisKey, AnalysisStore, FrameStore
from faceloupe.ui.jobs import tasks
from tests.ui.reports import report, track

MP4 = b"\0\0\0\x18ftypisom" + bytes(12)
KEYS = [AnalysisKey(str(number), "n", "w", "s") for number in range(3)]


def analyzed(*tracks: TrackFinding) -> ReportedAnalysis:
    """An analysis of a made-up video with these tracks."""
    record = find_record(weights_folder(), Settings(effort="quick").model_id)
    evidence = evidence_from_bytes(MP4, "clip.mp4", max_bytes=100).evidence
    result = (Outcome.INCONCLUSIVE, "made up", Timing())
    analysis = Analysis(evidence, record, (record,), Settings(effort="quick"), *result, tracks=tracks)
    return ReportedAnalysis(report({1: [0.2]}), analysis)


def test_a_video_is_kept_with_its_file_and_both_count():
    upload = evidence_from_bytes(bytes(1_000_000), "clip.mp4", max_bytes=2_000_000)
    analysis = analyzed(track([0.2, 0.3]))
    store = AnalysisStore(capacity_bytes=2_500_000)
    for key in KEYS:
        store.put(key, analysis, upload)
    assert [store.get(key) is None for key in KEYS] == [True, False, False]
    assert store.evidence_file(KEYS[0]) is None
    assert store.evidence_file(KEYS[2]) is upload


@pytest.mark.parametrize(
    ("examine", "content"), [(tasks.analyze_image_job, b"\xff\xd8\xff"), (tasks.examine, MP4)], ids=["photo", "video"]
)
def test_of_the_same_bytes_the_file_that_was_chosen_last_is_kept(examine, content, tmp_path, analyzer, settings):
    """The file that was chosen first may have been removed or changed since."""
    store, analysis, stored = AnalysisStore(), analyzed(), []
    steps = {"progress": lambda *_: None, "cancel": lambda: False}
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(content)
        evidence_file = open_evidence(tmp_path / folder / "file", max_bytes=100)
        if not stored:
            store.put(tasks.key_of(evidence_file, analyzer.scorer.record.weights_sha256, settings), analysis)
        source = (
            evidence_file
            if examine is tasks.analyze_image_job
            else lambda _, evidence_file=evidence_file: evidence_file
        )
        key = examine(source, analyzer, store, **steps)
        stored.append(store.evidence_file(key))
        assert store.get(key) is analysis
        assert stored[-1] is evidence_file


def test_a_video_is_no_still(analyzer):
    steps = {"progress": lambda *_: None, "cancel": lambda: False}
    with pytest.raises(EvidenceError, match="page Video"):
        tasks.analyze_image_job(evidence_from_bytes(MP4, "a.mp4", max_bytes=100), analyzer, AnalysisStore(), **steps)


def test_thumbnails_of_a_video_count():
    analysis = analyzed(track([0.2] * 100))
    thumbs = sum(len(observation.thumb) for observation in analysis.tracks[0].observations)
    store = AnalysisStore(capacity_bytes=2 * thumbs)
    for key in KEYS:
        store.put(key, analysis)
    assert store.get(KEYS[0]) is None
    assert store.get(KEYS[1]) is analysis


def test_frames_are_kept_within_their_bound():
    view = FrameExplanation(0, 0.0, np.zeros((100, 100, 3), np.uint8), ())
    store = FrameStore(capacity_bytes=2 * view.rgb.nbytes)
    for index in range(3):
        store.put((KEYS[0], index), view)
    assert [store.get((KEYS[0], index)) is None for index in range(3)] == [True, False, False]
