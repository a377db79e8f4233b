"""The evasion bench: its transformations show the same picture, its counts are right, and it continues a run."""

import io
from functools import partial
from itertools import product

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageOps
from tools.evade.bench import UNCHANGED, Judge, Verdict
from tools.evade.page import Count, counted, read_counts, write_counts, write_page
from tools.evade.pictures import Drawn
from tools.evade.transforms import TRANSFORMATIONS, encoded

from faceloupe.installation import ROOT
from faceloupe.types import Outcome
from tests.conftest import GENERATED
from tests.media.test_image import decode

BY_NAME = {transformation.name: transformation for transformation in TRANSFORMATIONS}
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.open(GENERATED).convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)


def _middle(picture: Image.Image) -> Image.Image:
    left, top = (picture.width - 256) // 2, (picture.height - 256) // 2
    return picture.crop((left, top, left + 256, top + 256))


@pytest.mark.parametrize("name", ["icc", "gama", "pq", "hlg"])
def test_a_picture_that_is_stored_otherwise_is_shown_as_it_was(name, picture):
    shown = decode(BY_NAME[name].apply(picture)).rgb
    assert np.abs(shown.astype(int) - np.asarray(picture)).mean() < 1


@pytest.mark.parametrize(
    ("name", "undo"),
    [
        ("mirror", ImageOps.mirror),
        ("turn 90", partial(Image.Image.transpose, method=Image.Transpose.ROTATE_270)),
        ("border", partial(ImageOps.crop, border=25)),
        ("pasted", _middle),
        ("double", partial(Image.Image.resize, size=(256, 256), resample=Image.Resampling.BOX)),
        ("squeezed", partial(Image.Image.resize, size=(256, 256), resample=Image.Resampling.BICUBIC)),
        ("tilt 30", lambda picture: _middle(picture.rotate(-30, Image.Resampling.BICUBIC))),
    ],
)
def test_what_moves_the_pixels_can_be_undone(name, undo, picture):
    stored = Image.open(io.BytesIO(BY_NAME[name].apply(picture))).convert("RGB")
    assert np.abs(np.asarray(undo(stored)).astype(int) - np.asarray(picture)).mean() < 6


def verdict(position: str, label: int, transformation: str, outcome: Outcome) -> Verdict:
    return Verdict(
        record="r",
        split="val",
        label=label,
        source="s",
        location=position,
        transformation=transformation,
        outcome=outcome,
        score=0.5,
    )


def test_each_kind_of_change_is_counted_for_itself():
    manipulated, authentic, undecided = Outcome.MANIPULATED, Outcome.AUTHENTIC, Outcome.INCONCLUSIVE
    changes = {  # label, before, after
        "a": (1, manipulated, manipulated),
        "b": (1, manipulated, authentic),
        "c": (1, manipulated, undecided),
        "d": (0, authentic, authentic),
        "e": (0, authentic, manipulated),
        "f": (0, undecided, authentic),
        "g": (0, undecided, manipulated),
    }
    verdicts = [
        verdict(position, label, name, outcome)
        for position, (label, before, after) in changes.items()
        for name, outcome in ((UNCHANGED, before), ("mirror", after))
    ]
    counts = {count.transformation: count for count in counted(verdicts, "quick", "m")}
    assert counts["mirror"] == Count(
        "quick", "m", "val", "mirror", manipulated=3, held=1, cleared=1, authentic=4, accused=2, passed=2, passed_held=1
    )
    assert counts["border"].manipulated == 0


def test_a_run_resumes_where_it_stopped_and_mends_a_line_that_was_cut_off(tmp_path, analyzer, picture):
    drawn, journal = Drawn("val", 1, "s", "a.png", picture), tmp_path / "quick.jsonl"

    def never() -> bytes:
        raise AssertionError("it was analyzed again")

    first = Judge(analyzer, journal).verdict(drawn, UNCHANGED, partial(encoded, picture))
    assert first.score is not None
    assert Judge(analyzer, journal).verdict(drawn, UNCHANGED, never) == first
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    assert Judge(analyzer, journal).verdict(drawn, UNCHANGED, partial(encoded, picture)) == first
    assert msgspec.json.decode(journal.read_bytes().splitlines()[-1], type=Verdict) == first


def test_the_page_is_what_its_counts_say(tmp_path):
    counts = read_counts(DOCS / "evasion")
    assert {count.transformation for count in counts} == set(BY_NAME)
    assert {(count.effort, count.split) for count in counts} == set(product(("quick", "standard"), ("val", "cross")))
    write_page(counts, tmp_path / "evasion.md")
    assert (tmp_path / "evasion.md").read_text(encoding="utf-8") == (DOCS / "evasion.md").read_text(encoding="utf-8")


def test_counts_are_read_as_they_were_written(tmp_path):
    counts = counted([verdict("a", 1, UNCHANGED, Outcome.MANIPULATED)], "quick", "m")
    write_counts(counts, tmp_path)
    assert read_counts(tmp_path) == counts
