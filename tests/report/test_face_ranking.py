"""Faces ordered by score and quality: the arithmetic, by hand."""

import msgspec
import pytest

from faceloupe.analysis.pipeline import analyze
from faceloupe.media.evidence_file import open_evidence
from faceloupe.report.build import build
from faceloupe.report.face_ranking import NamedFace, rank_faces
from tests.conftest import GENERATED


@pytest.fixture(scope="module")
def face(analyzer, settings):
    report = build(analyze(open_evidence(GENERATED, max_bytes=settings.max_bytes), analyzer, explain=False))
    return report.faces[0]


def like(face, sha256, **changes):
    return NamedFace(sha256, sha256, msgspec.structs.replace(face, **changes))


def test_the_nearest_face_is_first_and_each_difference_is_in_factors_of_two(face):
    chosen = like(face, "own", score=0.5, size_px=100.0, sharpness=200.0)
    others = [
        like(face, "sharp", score=0.5, size_px=100.0, sharpness=1600.0),  # 8 times as sharp
        like(face, "odds", score=0.8, size_px=100.0, sharpness=200.0),  # odds 4 times as high
        like(face, "large", score=0.5, size_px=200.0, sharpness=200.0),  # twice the size
        like(face, "none", score=None),
        chosen,
    ]
    rows = rank_faces(chosen, others)
    assert [(row.other.title, row.distance) for row in rows] == [
        ("large", pytest.approx(1.0)),
        ("odds", pytest.approx(2.0)),
        ("sharp", pytest.approx(3.0)),
    ]
    both = like(face, "both", score=0.8, size_px=100.0 * 2**1.5, sharpness=200.0)
    assert rank_faces(chosen, [both])[0].distance == pytest.approx(2.5)


def test_scores_near_the_ends_of_the_scale_are_alike(face):
    chosen = like(face, "own", score=0.995)
    (row,) = rank_faces(chosen, [like(face, "other", score=1.0)])
    assert row.score_gap == 0.0


def test_a_face_without_a_score_is_refused(face):
    with pytest.raises(ValueError, match="no score"):
        rank_faces(like(face, "own", score=None), [])
