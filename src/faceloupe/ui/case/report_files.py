"""The files of a case report, made when they are asked for: in a thread of the server, which knows no session."""

import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faceloupe.bundle.export import export_case
from faceloupe.cases.case_record import case_record, open_case_record
from faceloupe.cases.store import CaseStore
from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.pdf import write_pdf
from faceloupe.system import temp


@dataclass(frozen=True, slots=True)
class Source:
    """What the files are made from, and for whom."""

    store: CaseStore
    case_id: str
    examiner: str
    letterhead: Letterhead
    language: str
    with_log: bool = False

    def taken(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return a file that is handed out; the log tells of it before it is.

        Raises:
            FaceLoupeError: it cannot be made, or not be logged.
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
        """Return the data of the report."""
        self.store.reviews.view_all(self.case_id, examiner=self.examiner)
        with open_case_record(self.store, self.case_id, viewer=self.examiner) as record:
            return ("".join(record.pieces()) + "\n").encode()

    def bundle(self) -> bytes:
        """Everything of the case but the evidence itself; the log tells of it."""
        with tempfile.TemporaryDirectory(prefix=temp.prefix("bundle")) as folder:
            path = Path(folder, f"faceloupe-case-{self.case_id}.zip")
            letterhead, language = self.letterhead, self.language
            export_case(self.store, self.case_id, path, actor=self.examiner, letterhead=letterhead, language=language)
            return path.read_bytes()

    def _record(self) -> CaseRecord:
        """Return the record of the case as the examiner may see it; what it shows is logged as seen."""
        self.store.reviews.view_all(self.case_id, examiner=self.examiner)
        return case_record(self.store, self.case_id, viewer=self.examiner)
