"""The same picture has the same score, however it is stored."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.image import _stretches, _turns
from faceloupe.analysis.pipeline import analyze
from faceloupe.findings import FaceFinding
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.scoring.decision import of_image, withhold_if_flawed
from faceloupe.types import Box, FaceQuality, Outcome
from tests.conftest import GENERATED
from tests.media import icc
from tests.media.stored import gamma, png, pq
from tests.report_json import report_json


def report(content: bytes, analyzer, settings) -> dict:
    return report_json(analyze(evidence_from_bytes(content, "x", max_bytes=10**8), analyzer, explain=False))


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def original() -> Image.Image:
    return Image.open(GENERATED).convert("RGB")


@pytest.fixture(scope="module")
def reference(original, analyzer, settings) -> dict:
    return report(encoded(original), analyzer, settings)


def exchanged(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture)[..., ::-1])


def linear(picture: Image.Image) -> Image.Image:
    return Image.fromarray((255 * (np.asarray(picture) / 255) ** 2.2).round().astype(np.uint8))


STORED = {
    "channels exchanged": (lambda image: encoded(exchanged(image), icc_profile=icc.permuted("bgr")), 0.02),
    "linear": (lambda image: png(linear(image), gAMA=gamma(1.0)), 0.05),
    "PQ": (lambda image: png(pq(image), cICP=bytes((9, 16, 0, 1))), 0.05),
    "on its side": (lambda image: encoded(image.transpose(Image.Transpose.ROTATE_90)), 0.02),
    "tilted": (lambda image: encoded(image.rotate(30, Image.Resampling.BICUBIC, expand=True)), 0.05),
}


@pytest.mark.parametrize("how", STORED)
def test_however_a_picture_is_stored_it_has_the_score_of_what_is_shown(how, original, reference, analyzer, settings):
    make, within = STORED[how]
    report_values = report(make(original), analyzer, settings)
    assert report_values["score"] == pytest.approx(reference["score"], abs=within)
    face = report_values["faces"][0]
    if not face["turned_deg"]:
        assert [value is None for value in report_values["shown"].values()].count(False) > 0
    else:
        assert abs(face["roll_deg"]) > 12
        assert "turned upright" in report_values["evidence"]["notes"][-1]


@pytest.mark.parametrize("how", ["channels exchanged", "linear", "PQ", "on its side"])
def test_however_a_picture_is_stored_its_face_is_found_where_it_is_shown(how, portrait, analyzer, settings):
    make, _ = STORED[how]
    picture = Image.fromarray(portrait)
    face, upright = (report(content, analyzer, settings)["faces"][0] for content in (make(picture), encoded(picture)))
    if not face["turned_deg"]:
        assert face["box"] == pytest.approx(upright["box"], abs=8)


def test_a_plain_picture_says_that_nothing_was_done(reference):
    assert reference["shown"] == dict.fromkeys(("orientation", "color", "transfer", "pixel_aspect"))
    assert abs(reference["faces"][0]["roll_deg"]) < 12
    assert reference["faces"][0]["turned_deg"] == 0


def test_few_levels_forbid_authentic_and_leave_manipulated():
    why = "few levels are left"
    hidden = withhold_if_flawed(finding(Outcome.AUTHENTIC), unshown="", coarse=why)
    assert (hidden.outcome, why in hidden.reason) == (Outcome.INCONCLUSIVE, True)
    assert withhold_if_flawed(finding(Outcome.MANIPULATED), unshown="", coarse=why).outcome is Outcome.MANIPULATED


def test_a_broken_profile_leaves_no_verdict(original, analyzer, settings):
    report_values = report(encoded(original, icc_profile=b"broken" * 50), analyzer, settings)
    assert report_values["outcome"] == "inconclusive"
    assert report_values["reason"].startswith("inconclusive: viewers may show other colors")
    assert report_values["score"] is not None


def finding(outcome: Outcome) -> FaceFinding:
    quality = FaceQuality(90.0, 100.0, 1.0)
    score = None if outcome is Outcome.NOT_APPLICABLE else 0.5
    return FaceFinding(1, Box(0, 0, 90, 90), 1.0, 90.0, quality, outcome, "why", score)


@pytest.mark.parametrize(
    ("outcome", "unshown", "damage"),
    [
        (Outcome.AUTHENTIC, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        (Outcome.MANIPULATED, Outcome.INCONCLUSIVE, Outcome.MANIPULATED),
        (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        (Outcome.NOT_APPLICABLE, Outcome.NOT_APPLICABLE, Outcome.NOT_APPLICABLE),
    ],
)
def test_what_verdicts_a_picture_can_carry(outcome, unshown, damage):
    face = finding(outcome)
    assert withhold_if_flawed(face, unshown="", damage="") is face
    assert withhold_if_flawed(face, unshown="it is broken", damage="").outcome is unshown
    hidden = withhold_if_flawed(face, unshown="", damage="it is damaged")
    assert hidden.outcome is damage
    overall, reason, _ = of_image([hidden], smallest_px=20)
    assert overall is damage
    assert ("damaged" in reason) == (outcome is Outcome.AUTHENTIC)


def test_each_restored_face_is_reported():
    squeezed = replace(finding(Outcome.AUTHENTIC), stretch=0.704)
    assert _stretches([finding(Outcome.AUTHENTIC), squeezed]) == [
        "Face 1 is shown about 0.70 times as wide as it is; its proportions were restored before scoring."
    ]


def test_each_rotation_is_reported():
    turned = replace(finding(Outcome.AUTHENTIC), roll_deg=91.2, turned_deg=-90.0)
    assert _turns([finding(Outcome.AUTHENTIC), turned]) == [
        "Face 1 is tilted by 91 degrees (clockwise is positive); it was turned upright before scoring."
    ]
