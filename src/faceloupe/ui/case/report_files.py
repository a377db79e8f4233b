"""The files of a case report, created on request in a thread of the server that has no session."""

import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faceloupe.bundle.export import export_case
from faceloupe.cases.case_record import case_record, open_case_record
from faceloupe.cases.policy import ResultView
from faceloupe.cases.store import CaseStore
from faceloupe.errors import Cancelled
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.pdf import write_pdf
from faceloupe.system import temp
from faceloupe.types import Cancel, Progress
from faceloupe.ui.language import Translate


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A bundle or a report on the disk of the server: its path, and a sentence that states it."""

    path: Path
    sentence: str


@dataclass(frozen=True, slots=True)
class Source:
    """The case that the files are made from, the examiner who requests them, and the options of the report."""

    store: CaseStore
    case_id: str
    examiner: str
    letterhead: Letterhead
    language: str
    with_log: bool = False

    def logged_download(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return the content of a download, after recording the download in the log.

        Raises:
            FaceLoupeError: the file cannot be created, or the download cannot be logged.
        """
        content = make()
        facts = {"file": name, "file_sha256": hashlib.sha256(content).hexdigest()}
        self.store.reviews.record_export(self.case_id, actor=self.examiner, parameters=facts)
        return content

    def pdf(self) -> bytes:
        """Return the report as PDF."""
        stream, letterhead = io.BytesIO(), self.letterhead
        picture, language = self.store.runs.picture, self.language
        write_pdf(self._record(), picture, stream, letterhead=letterhead, language=language, with_log=self.with_log)
        return stream.getvalue()

    def json(self) -> bytes:
        """Return the data of the report as JSON."""
        self.store.reviews.view_all(self.case_id, examiner=self.examiner)
        with open_case_record(self.store, self.case_id, viewer=self.examiner) as record:
            return ("".join(record.pieces()) + "\n").encode()

    def bundle(self) -> bytes:
        """Return the bundle of the case without the evidence, as a ZIP; the export is logged."""
        with tempfile.TemporaryDirectory(prefix=temp.prefix("bundle")) as folder:
            path = Path(folder, f"faceloupe-case-{self.case_id}.zip")
            letterhead, language = self.letterhead, self.language
            export_case(self.store, self.case_id, path, actor=self.examiner, letterhead=letterhead, language=language)
            return path.read_bytes()

    def write_bundle(self, *, with_evidence: bool, tr: Translate, progress: Progress, cancel: Cancel) -> WrittenFile:
        """Write the bundle into the data folder.

        Args:
            with_evidence: include the evidence, so that the recipient can score it again.
            tr: translation function.
            progress: called with the stage and the share done, 0..1.
            cancel: called between steps; True stops the work.

        Raises:
            Cancelled: ``cancel`` returned True; no bundle is written.
            FaceLoupeError: see ``export_case``.
        """
        path = self._path("zip")
        exported = export_case(
            self.store,
            self.case_id,
            path,
            actor=self.examiner,
            progress=_cancellable_progress(cancel, "The export was cancelled.", progress),
            letterhead=self.letterhead,
            language=self.language,
            with_evidence=with_evidence,
        )
        sentence = tr(
            "The bundle was written to {path}; the SHA-256 of its manifest is {sha256}.",
            path=path,
            sha256=exported.manifest_sha256,
        )
        return WrittenFile(path, sentence)

    def write_report(self, *, tr: Translate, progress: Progress, cancel: Cancel) -> WrittenFile:
        """Write the report as a PDF into the data folder, and log the export.

        Args:
            tr: translation function.
            progress: called with the stage and the share done, 0..1.
            cancel: called between steps; True stops the work.

        Raises:
            Cancelled: ``cancel`` returned True; no file is written.
            FaceLoupeError: the file cannot be created, or the export cannot be logged.
        """
        path = self._path("pdf")
        record = case_record(self.store, self.case_id, viewer=self.examiner)
        write_pdf(
            record,
            self.store.runs.picture,
            path,
            letterhead=self.letterhead,
            language=self.language,
            with_log=self.with_log,
            progress=_cancellable_progress(cancel, "The report was cancelled.", progress),
        )
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        views = [ResultView(item.sha256, run.id) for item in record.items for run in item.runs]
        facts = {"file": path.name, "file_sha256": sha256}
        self.store.reviews.record_export(self.case_id, actor=self.examiner, parameters=facts, views=views)
        return WrittenFile(
            path, tr("The report was written to {path}; its SHA-256 is {sha256}.", path=path, sha256=sha256)
        )

    def _path(self, ending: str) -> Path:
        name = f"faceloupe-case-{self.case_id}-{self.store.clock():%Y%m%dT%H%M%SZ}.{ending}"
        return self.store.folder / "exports" / name

    def _record(self) -> CaseRecord:
        """Return the record of the case as the examiner may see it, and log its results as seen."""
        self.store.reviews.view_all(self.case_id, examiner=self.examiner)
        return case_record(self.store, self.case_id, viewer=self.examiner)


def _cancellable_progress(cancel: Cancel, sentence: str, progress: Progress) -> Progress:
    def reported(stage: str, share: float) -> None:
        if cancel():
            raise Cancelled(sentence)
        progress(stage, share)

    return reported
