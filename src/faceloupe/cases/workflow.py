"""The work on a case: files are opened, filed and analyzed, and the results are filed beside them."""

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

OpenFile = Callable[[Step], EvidenceFile]  # is given what to call with the share hashed, 0..1


@dataclass(frozen=True, slots=True)
class CaseWorkflow:
    """One person's work on one case.

    The networks are loaded by whoever analyzes: filing and listing do without them.

    Attributes:
        case_id: of the case.
        actor: whose work it is.
    """

    store: CaseStore
    case_id: str
    actor: str
    settings: Settings

    def file(self, open_file: OpenFile, name: str, *, progress: Progress) -> Item:
        """Take a file in, and file it.

        Args:
            open_file: reads and hashes the file; it is given a callback for the share done.
            name: of the file, for the log where it cannot be taken in.
            progress: called with the stage and its share, 0..1; what it raises ends the work.

        Raises:
            FaceLoupeError: the file cannot be read or kept; it is not filed, and the attempt is logged.
        """
        try:
            evidence_file = open_file(lambda share: progress("Hashing", share))
        except UsageError as problem:
            with suppress(CaseError):  # the first problem is the one to tell
                self.store.log.record_failure(
                    self.case_id, Action.INTAKE, actor=self.actor, reason=str(problem), name=name
                )
            raise
        return self.keep(evidence_file, step=lambda share: progress("Filing", share))

    def keep(self, evidence_file: EvidenceFile, *, step: Step | None = None) -> Item:
        """File what was opened already; see ``Items.file``. A note states the file that it was taken out of."""
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
        """Run the pipeline over the bytes that are kept, and file what it found.

        Args:
            item: of the case.
            networks: the loaded networks.
            progress: called with the stage and its share, 0..1.
            cancel: asked between steps; True stops the work.
            origin: the file that the item was taken out of, for the report; None where it was not.

        Raises:
            FaceLoupeError: it came to no report, or the report cannot be kept; the log says so.
        """
        from faceloupe.analysis import pipeline  # here: the command line files evidence without torch
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
            with suppress(CaseError):  # the first problem is the one to tell
                self.store.runs.fail(self.case_id, item.sha256, actor=self.actor, reason=reason_of(problem))
            raise

    def file_analysis(self, evidence_file: EvidenceFile, analysis: "ReportedAnalysis") -> Run:
        """File a file and an analysis of it that was made already; one and the same analysis is filed once.

        Raises:
            FaceLoupeError: the file is not what it was, or the store cannot be written.
        """
        filed = self.filed(analysis)
        if filed is not None:
            return filed
        self.keep(evidence_file)
        return self._add_run(analysis)

    def file_report(self, item: Item, report: "Report") -> Run:
        """File a report of an item that was made elsewhere, without pictures.

        Where a run of the item says the same already (model, settings and score), that run is returned: with pictures
        it is worth more, and the same report is filed once.

        Raises:
            CaseError: it is not of that item, or the store cannot be written.
        """
        filed = self._run_with(item.sha256, report) or self._same_finding(item.sha256, report)
        return filed or self.store.runs.add(self.case_id, item.sha256, report, {}, actor=self.actor)

    def _same_finding(self, sha256: str, report: "Report") -> Run | None:
        """Return the latest run with pictures whose report has the model, the settings and the scores of this one."""
        for run in reversed(self.store.runs.of_item(self.case_id, sha256)):
            if run.pictures and (run.outcome, run.score) == (report.outcome.value, report.score):
                with suppress(ReportError):  # one that this release cannot read is not known to say the same
                    filed = self.store.runs.report(run.id)
                    if (filed.model, filed.settings, filed.reason) == (report.model, report.settings, report.reason):
                        return run
        return None

    def filed(self, analysis: "ReportedAnalysis") -> Run | None:
        """Return the run of the case that is this very analysis; None where it is not filed.

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
        from faceloupe.media.similarity import perceptual_hash  # here: the command line files evidence without torch
        from faceloupe.report.write import pictures_of

        report, pictures = analysis.report, pictures_of(analysis.analysis)
        image_hash = "" if analysis.canvas is None else perceptual_hash(analysis.canvas.rgb)
        return self.store.runs.add(
            self.case_id, report.evidence.sha256, report, pictures, actor=self.actor, image_hash=image_hash
        )
