"""Filing of evidence and results, its log entries, and that an analysis is filed only once."""

import msgspec
import pytest

from faceloupe.analysis import pipeline
from faceloupe.cases.blobs import BlobStore
from faceloupe.cases.case_log import CaseLog
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import CaseWorkflow
from faceloupe.errors import CaseError, UsageError
from faceloupe.media.evidence_file import open_evidence
from faceloupe.report.build import ReportedAnalysis
from tests.conftest import PHOTOGRAPH


def silent(stage, share):
    """Ignore progress."""


@pytest.fixture
def workflow(tmp_path, settings):
    store = CaseStore(tmp_path / "data")
    return CaseWorkflow(store, store.create_case("Harbor", examiner="Ada").id, "Ada", settings)


def take(path, settings):
    return lambda step: open_evidence(path, max_bytes=settings.max_bytes, step=step)


def test_a_file_is_filed_and_what_was_found_beside_it(workflow, analyzer, settings):
    item = workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    run = workflow.analyze(item, analyzer, progress=silent)
    assert workflow.store.runs.of_item(workflow.case_id, item.sha256) == (run,)
    assert "boxes.png" in run.pictures


def test_one_analysis_is_filed_once(workflow, analyzer, settings):
    evidence_file = open_evidence(PHOTOGRAPH, max_bytes=settings.max_bytes)
    analysis = ReportedAnalysis.of(pipeline.analyze(evidence_file, analyzer))
    assert workflow.filed(analysis) is None
    run = workflow.file_analysis(evidence_file, analysis)
    assert workflow.file_analysis(evidence_file, analysis) == run == workflow.filed(analysis)
    assert len(workflow.store.runs.of_item(workflow.case_id, evidence_file.evidence.sha256)) == 1


def test_a_report_without_pictures_does_not_replace_a_run_that_says_the_same(workflow, analyzer, settings):
    item = workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    run = workflow.analyze(item, analyzer, progress=silent)
    evidence_file = open_evidence(PHOTOGRAPH, max_bytes=settings.max_bytes)
    report = ReportedAnalysis.of(pipeline.analyze(evidence_file, analyzer, explain=False)).report
    assert report.to_json() != workflow.store.runs.report_text(run.id)
    assert workflow.file_report(item, report) == run
    other = msgspec.structs.replace(report, settings=msgspec.structs.replace(report.settings, effort="thorough"))
    added = workflow.file_report(item, other)
    assert workflow.store.runs.of_item(workflow.case_id, item.sha256) == (run, added)
    assert workflow.file_report(item, other) == added


def test_a_file_that_cannot_be_taken_in_is_logged_by_its_name(workflow, settings, tmp_path):
    with pytest.raises(UsageError):
        workflow.file(take(tmp_path / "gone.jpg", settings), "gone.jpg", progress=silent)
    last = workflow.store.log.entries(workflow.case_id)[-1]
    assert last.action == "intake failed"
    assert "gone.jpg" in last.parameters


@pytest.mark.parametrize("problem", [RuntimeError("out of cells"), KeyboardInterrupt(), UsageError("No.")])
def test_nothing_is_left_pending_whatever_ends_the_work(workflow, analyzer, settings, monkeypatch, problem):
    def refuse(*_, **__):
        raise problem

    with monkeypatch.context() as broken:
        broken.setattr(BlobStore, "keep", refuse)
        with pytest.raises(type(problem)):
            workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    assert workflow.store.log.entries(workflow.case_id)[-1].action == "intake failed"
    item = workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    monkeypatch.setattr(pipeline, "analyze", refuse)
    with pytest.raises(type(problem)):
        workflow.analyze(item, analyzer, progress=silent)
    assert workflow.store.log.entries(workflow.case_id)[-1].action == "run failed"
    assert workflow.store.items.unfinished() == ()


def test_a_log_that_cannot_be_written_does_not_hide_the_first_problem(
    workflow, analyzer, settings, monkeypatch, tmp_path
):
    def refuse(*_, **__):
        raise UsageError("The first problem.")

    def full(*_, **__):
        raise CaseError("The disk is full.")

    item = workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    monkeypatch.setattr(pipeline, "analyze", refuse)
    monkeypatch.setattr(CaseLog, "fail", full)
    monkeypatch.setattr(CaseLog, "record_failure", full)
    with pytest.raises(UsageError, match="The first problem"):
        workflow.analyze(item, analyzer, progress=silent)
    with pytest.raises(UsageError, match=r"gone\.jpg"):
        workflow.file(take(tmp_path / "gone.jpg", settings), "gone.jpg", progress=silent)


def test_an_analysis_that_fails_is_logged_and_the_evidence_stays(workflow, analyzer, settings, monkeypatch):
    def refuse(*_, **__):
        raise UsageError("No.")

    item = workflow.file(take(PHOTOGRAPH, settings), PHOTOGRAPH.name, progress=silent)
    monkeypatch.setattr(pipeline, "analyze", refuse)
    with pytest.raises(UsageError):
        workflow.analyze(item, analyzer, progress=silent)
    assert workflow.store.log.entries(workflow.case_id)[-1].action == "run failed"
    assert workflow.store.items.get(workflow.case_id, item.sha256).name == PHOTOGRAPH.name
