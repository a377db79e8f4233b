import numpy as np
import pytest

from faceloupe.analysis.pipeline import analyze
from faceloupe.errors import EvidenceError
from faceloupe.forensics import robustness
from faceloupe.forensics.registry import ROBUSTNESS, examine
from faceloupe.forensics.source import FaceModel
from faceloupe.types import Box
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.conftest import source


@pytest.fixture
def face_model(analyzer) -> FaceModel:
    return FaceModel(analyzer.detector, analyzer.scorer)


def marked(at: Box) -> np.ndarray:
    """A gray picture with a bright box."""
    rgb = np.full((400, 640, 3), 60, np.uint8)
    rgb[int(at.y0) : int(at.y1), int(at.x0) : int(at.x1)] = 220
    return rgb


@pytest.mark.parametrize("variant", robustness.VARIANTS, ids=lambda variant: variant.id)
def test_the_box_stays_on_its_face_through_every_change(variant):
    box = Box(300.0, 120.0, 380.0, 220.0)
    rgb, moved = variant.change(marked(box), box)
    rows, columns = np.nonzero(rgb.mean(axis=2) > 140)
    middle = (columns.mean() + 0.5, rows.mean() + 0.5)
    assert middle == pytest.approx(((moved.x0 + moved.x1) / 2, (moved.y0 + moved.y1) / 2), abs=1.5)
    assert len(rows) == pytest.approx(moved.width * moved.height, rel=0.04)


def test_the_face_as_it_is_has_the_ratio_of_the_analysis_and_every_change_is_listed(face_model, analyzer):
    looked = source(GENERATED.read_bytes(), face_model=face_model)
    (lens,) = examine(looked, lenses=(ROBUSTNESS,)).report.lenses
    facts = {fact.name: fact.value for fact in lens.facts}
    expected = analyze(GENERATED, analyzer, explain=False)
    assert facts["As it is"] == f"log10 LR {expected.log10_lr:+.2f}, {expected.outcome}"
    assert {variant.title.capitalize() for variant in robustness.VARIANTS} <= facts.keys()
    assert lens.findings == ()


def test_a_picture_without_a_face_is_reported_in_one_sentence(face_model):
    with pytest.raises(EvidenceError, match="No face"):
        robustness.examine(source(files.saved("PNG"), face_model=face_model))
