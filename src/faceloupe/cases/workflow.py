"""The work on a case: opening, filing and analyzing files, and filing the results."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faceloupe.cases.audit_log import Action
from faceloupe.cases.records import Item, Run, reason_of
from faceloupe.cases.store import CaseStore
from faceloupe.config import Settings
from faceloupe.errors import CaseError, ReportError, UsageError
from faceloupe.media.evidence import Origin
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.types import Cancel, Progress, Step

if TYPE_CHECKING:
    from faceloupe.analysis.pipeline import Networks
    from faceloupe.report.build import ReportedAnalysis
    from faceloupe.report.schema import Report

OpenFile = Callable[[Step], EvidenceFile]  # called with a callback for the share hashed, 0..1


@dataclass(frozen=True, slots=True)
class CaseWorkflow:
    """One person's work on one case.

    Callers of ``analyze`` load the networks, because filing and listing do not need them.

    Attributes:
        store: store that holds the case.
        case_id: id of the case.
        actor: name of the person.
        settings: settings of the work.
    """

    store: CaseStore
    case_id: str
    actor: str
    settings: Settings

    def file(self, open_file: OpenFile, name: str, *, progress: Progress) -> Item:
        """Open a file and file it.

        Args:
            open_file: function that reads and hashes the file; it receives a callback for the share done.
            name: name of the file, for the log entry if the file cannot be opened.
            progress: called with the stage and its share, 0..1; an exception that it raises ends the work.

        Raises:
            FaceLoupeError: the file cannot be read or stored; it is not filed, and the attempt is logged.
        """
        try:
            evidence_file = open_file(lambda share: progress("Hashing", share))
        except UsageError as problem:
            with suppress(CaseError):  # report the first error
                self.store.log.record_failure(
                    self.case_id, Action.INTAKE, actor=self.actor, reason=str(problem), name=name
                )
            raise
        return self.keep(evidence_file, step=lambda share: progress("Filing", share))

    def keep(self, evidence_file: EvidenceFile, *, step: Step | None = None) -> Item:
        """File an open file, see ``Items.file``; if it was extracted from another file, add a note about its origin."""
        item = self.store.items.file(self.case_id, evidence_file, actor=self.actor, step=step)
        origin = evidence_file.evidence.origin
        if origin is not None:
            notes = self.store.reviews.notes(self.case_id, item.sha256)
            if all(note.text != origin.sentence for note in notes):
                self.store.reviews.add_note(self.case_id, origin.sentence, author=self.actor, sha256=item.sha256)
        return item

    def analyze(
        self,
        item: Item,
        networks: "Networks",
        *,
        progress: Progress,
        cancel: Cancel | None = None,
        origin: Origin | None = None,
    ) -> Run:
        """Analyze the stored bytes of an item, and file the result.

        Args:
            item: item of the case.
            networks: the loaded networks.
            progress: called with the stage and its share, 0..1.
            cancel: called between steps; the work stops if it returns True.
            origin: the file from which the item was extracted, for the report; None if it was not extracted.

        Raises:
            FaceLoupeError: there is no report, or it cannot be stored; the failure is logged.
        """
        from faceloupe.analysis import pipeline  # lazy import: filing evidence does not need torch
        from faceloupe.report.build import ReportedAnalysis

        self.store.runs.begin(self.case_id, item.sha256, actor=self.actor)
        try:
            limit = networks.settings.max_bytes
            evidence_file = self.store.items.open_evidence(item.sha256, name=item.name, max_bytes=limit)
            if origin is not None:
                evidence_file = replace(evidence_file, evidence=replace(evidence_file.evidence, origin=origin))
            analysis = pipeline.analyze(evidence_file, networks, progress=progress, cancel=cancel)
            return self._add_run(ReportedAnalysis.of(analysis))
        except BaseException as problem:
            with suppress(CaseError):  # report the first error
                self.store.runs.fail(self.case_id, item.sha256, actor=self.actor, reason=reason_of(problem))
            raise

    def file_analysis(self, evidence_file: EvidenceFile, analysis: "ReportedAnalysis") -> Run:
        """File a file together with a finished analysis of it; the same analysis is filed only once.

        Raises:
            FaceLoupeError: the file has changed, or the store cannot be written.
        """
        filed = self.filed(analysis)
        if filed is not None:
            return filed
        self.keep(evidence_file)
        return self._add_run(analysis)

    def file_report(self, item: Item, report: "Report") -> Run:
        """File a report of an item that was made elsewhere, without pictures.

        If the item already has a run with the same report, or one with pictures and the same model, settings and
        result, that run is returned instead: the report is filed only once, and a run with pictures is more useful.

        Raises:
            CaseError: the report belongs to another item, or the store cannot be written.
        """
        filed = self._run_with(item.sha256, report) or self._same_finding(item.sha256, report)
        return filed or self.store.runs.add(self.case_id, item.sha256, report, {}, actor=self.actor)

    def _same_finding(self, sha256: str, report: "Report") -> Run | None:
        """Return the latest run with pictures that has the report's model, settings, outcome, score and reason."""
        for run in reversed(self.store.runs.of_item(self.case_id, sha256)):
            if run.pictures and (run.outcome, run.score) == (report.outcome.value, report.score):
                with suppress(ReportError):  # a report that this release cannot read is not comparable
                    filed = self.store.runs.report(run.id)
                    if (filed.model, filed.settings, filed.reason) == (report.model, report.settings, report.reason):
                        return run
        return None

    def filed(self, analysis: "ReportedAnalysis") -> Run | None:
        """Return the run of the case that was filed for this analysis; None if it is not filed.

        Raises:
            CaseError: there is no such case, or the store cannot be read.
        """
        sha256 = analysis.report.evidence.sha256
        if not self.store.items.page(self.case_id, search=sha256, limit=1).items:
            return None
        return self._run_with(sha256, analysis.report)

    def _run_with(self, sha256: str, report: "Report") -> Run | None:
        wanted = hashlib.sha256(report.to_json().encode()).hexdigest()
        return next((run for run in self.store.runs.of_item(self.case_id, sha256) if run.report_sha256 == wanted), None)

    def _add_run(self, analysis: "ReportedAnalysis") -> Run:
        from faceloupe.media.similarity import perceptual_hash  # lazy import: filing evidence does not need torch
        from faceloupe.report.write import pictures_of

        report, pictures = analysis.report, pictures_of(analysis.analysis)
        image_hash = "" if analysis.canvas is None else perceptual_hash(analysis.canvas.rgb)
        return self.store.runs.add(
            self.case_id, report.evidence.sha256, report, pictures, actor=self.actor, image_hash=image_hash
        )
