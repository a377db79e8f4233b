"""The desk: what is filed, what is logged, and that one analysis is filed once."""

import pytest

from faceloupe.analysis import pipeline
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import Desk
from faceloupe.errors import UsageError
from faceloupe.media.evidence_file import take_in
from tests.conftest import PHOTOGRAPH


def silent(stage, share):
    """Progress that nobody looks at."""


@pytest.fixture
def desk(tmp_path, settings):
    store = CaseStore(tmp_path / "data")
    return Desk(store, store.create_case("Harbor", examiner="Ada").id, "Ada", settings)


def take(path, settings):
    return lambda step: take_in(path, max_bytes=settings.max_bytes, step=step)


def test_a_file_is_filed_and_what_was_found_beside_it(desk, instruments, settings):
    item = desk.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    run = desk.analyze(item, instruments, progress=silent)
    assert desk.store.runs(desk.case_id, item.sha256) == (run,)
    assert "boxes.png" in run.pictures


def test_one_analysis_is_filed_once(desk, instruments, settings):
    intake = take_in(PHOTOGRAPH, max_bytes=settings.max_bytes)
    analysis = pipeline.analyze(intake, instruments, settings=settings)
    assert desk.filed(analysis) is None
    run = desk.file_analysis(intake, analysis)
    assert desk.file_analysis(intake, analysis) == run == desk.filed(analysis)
    assert len(desk.store.runs(desk.case_id, intake.evidence.sha256)) == 1


def test_a_file_that_cannot_be_taken_in_is_logged_by_its_name(desk, settings, tmp_path):
    with pytest.raises(UsageError):
        desk.file(take(tmp_path / "gone.jpg", settings), "gone.jpg", progress=silent)
    last = desk.store.log(desk.case_id)[-1]
    assert last.action == "intake failed"
    assert "gone.jpg" in last.parameters


def test_an_analysis_that_fails_is_logged_and_the_evidence_stays(desk, instruments, settings, monkeypatch):
    def refuse(*_, **__):
        raise UsageError("No.")

    item = desk.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    monkeypatch.setattr(pipeline, "analyze", refuse)
    with pytest.raises(UsageError):
        desk.analyze(item, instruments, progress=silent)
    assert desk.store.log(desk.case_id)[-1].action == "run failed"
    assert desk.store.item(desk.case_id, item.sha256).name == PHOTOGRAPH.name
