"""The rows of faces on the page Image."""

from faceloupe.report.schema import ImageFace, PropositionRatio
from faceloupe.types import Outcome
from faceloupe.ui.image import panels


def test_the_facts_of_a_face_include_each_kind_of_manipulation():
    entry = ImageFace(
        id=1,
        box=(0.0, 0.0, 120.0, 150.0),
        crop_box=None,
        detection_confidence=1.0,
        size_px=120.0,
        sharpness=50.0,
        outcome=Outcome.MANIPULATED,
        reason="",
        score=0.9,
        raw_logit=2.0,
        log10_lr=0.95,
        propositions=(
            PropositionRatio(name="generated", model_id="a", log10_lr=1.1),
            PropositionRatio(name="changed", model_id="b", log10_lr=-0.2),
        ),
        heatmap_peak=None,
        first_s=None,
        last_s=None,
        frames_scored=1,
    )
    assert "log10 LR +0.95. Generated: log10 LR +1.10. Changed: log10 LR -0.20. 120 px" in panels._face_facts(entry)
