"""Claims about items that are like others, across all cases."""

import io

import numpy as np
from PIL import Image

from faceloupe.analysis.pipeline import analyze
from faceloupe.cases.workflow import CaseWorkflow
from faceloupe.media.similarity import perceptual_hash
from faceloupe.report.build import ReportedAnalysis
from tests.cases.conftest import report_of, upload
from tests.conftest import GENERATED, PHOTOGRAPH


def recompressed() -> bytes:
    stream = io.BytesIO()
    with Image.open(GENERATED) as image:
        image.resize((700, 700)).save(stream, "JPEG", quality=50)
    return stream.getvalue()


def hash_of(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        return perceptual_hash(np.asarray(image.convert("RGB")))


def filed_item(store, case, content: bytes, name: str) -> str:
    """An item with a run and the perceptual hash of its picture; its SHA-256."""
    item = store.items.file(case.id, upload(content, name), actor="Ann")
    store.runs.add(case.id, item.sha256, report_of(item.sha256), {}, actor="Ann", image_hash=hash_of(content))
    return item.sha256


def test_a_recompressed_copy_in_another_case_is_named_after_the_same_file_and_another_picture_is_not(store, case):
    other = store.create_case("Elsewhere", examiner="Bob")
    original = filed_item(store, case, GENERATED.read_bytes(), "original.jpg")
    filed_item(store, other, recompressed(), "copy.jpg")
    filed_item(store, other, PHOTOGRAPH.read_bytes(), "photograph.png")
    similar = store.items.similar(original)
    assert [(item.case.id, item.name) for item in similar] == [(case.id, "original.jpg"), (other.id, "copy.jpg")]
    assert similar[0].differing_bits is None
    assert (similar[1].differing_bits or 0) <= 6


def test_a_picture_that_is_in_no_case_is_looked_up_by_its_hash(store, case):
    filed_item(store, case, GENERATED.read_bytes(), "original.jpg")
    similar = store.items.similar("0" * 64, image_hash=hash_of(recompressed()))
    assert [item.name for item in similar] == ["original.jpg"]
    assert store.items.similar("0" * 64) == ()


def test_nothing_of_a_blind_case_is_named(store):
    blind = store.create_case("Secret", examiner="Ann", blind=True)
    sha256 = filed_item(store, blind, GENERATED.read_bytes(), "original.jpg")
    assert store.items.similar(sha256) == ()
    assert store.items.similar("0" * 64, image_hash=hash_of(recompressed())) == ()


def test_an_image_that_was_filed_without_a_hash_is_known_by_its_bytes(store, case):
    item = store.items.file(case.id, upload(GENERATED.read_bytes(), "a.jpg"), actor="Ann")
    assert [result.name for result in store.items.similar(item.sha256)] == ["a.jpg"]


def test_an_analysis_that_is_filed_keeps_the_hash_of_its_picture(store, case, analyzer, settings):
    workflow = CaseWorkflow(store, case.id, "Ann", settings)
    content = GENERATED.read_bytes()
    file = upload(content, "a.jpg")
    workflow.file_analysis(file, ReportedAnalysis.of(analyze(file, analyzer, explain=False)))
    assert [item.name for item in store.items.similar("0" * 64, image_hash=hash_of(recompressed()))] == ["a.jpg"]
