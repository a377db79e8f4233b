"""Export of a case as a bundle, item by item, so that a case may be larger than memory."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import msgspec

from faceloupe import __version__
from faceloupe.bundle import format
from faceloupe.bundle.contents import header_text, item_line
from faceloupe.bundle.format import Manifest, Member
from faceloupe.bundle.items_csv import COLUMNS, row
from faceloupe.bundle.signing import fingerprint, public_pem, signing_key
from faceloupe.cases.audit_log import START, canonical
from faceloupe.cases.case_record import StreamedRecord, open_case_record
from faceloupe.cases.policy import ResultView
from faceloupe.cases.records import stamp
from faceloupe.cases.store import CaseStore
from faceloupe.errors import CaseError
from faceloupe.report.case_schema import CaseRecord, ItemRecord
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.html import render_html
from faceloupe.report.document.images import Fetch
from faceloupe.report.document.locales import texts_in
from faceloupe.report.document.pdf import write_pdf
from faceloupe.report.spreadsheet import to_csv
from faceloupe.report.write import publish_file
from faceloupe.types import Progress

MOST_DRAWN = 200  # most items for which HTML and PDF are also written: nobody reads thousands of pages


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Attributes:
        manifest_sha256: SHA-256 of the manifest, which is also in the log of the case.
        fingerprint: fingerprint of the signing key, see ``signing.fingerprint``.
        withheld_runs: number of runs that a blind case withholds from the actor; they are not in the bundle.
        drawn: whether the bundle contains the case report as HTML and PDF.
        log_good: whether the chain of the case's log is intact; if it is broken, the bundle fails its verification.
    """

    manifest_sha256: str
    fingerprint: str
    withheld_runs: int
    drawn: bool
    log_good: bool


@dataclass(slots=True)
class _Hashed:
    """A stream that counts and hashes the bytes written to it."""

    stream: IO[bytes]
    size: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self.size += len(content)
        return self.stream.write(content)


class _Writer:
    """A ZIP that is being written, and the list of its members."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        self.members: list[Member] = []

    @contextmanager
    def member(self, name: str) -> Iterator[_Hashed]:
        # The size is not known in advance, and ZIP64 allows any size.
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as stream:
            hashed = _Hashed(stream)
            yield hashed
        self.members.append(Member(name, hashed.size, hashed.digest.hexdigest()))

    def add(self, name: str, content: bytes) -> None:
        with self.member(name) as stream:
            stream.write(content)


@dataclass(slots=True)
class _Contents:
    """Data collected from the items that were written, from which the other members are written.

    Attributes:
        most_kept: largest number of items that are kept whole; if there are more items, none are.
        evidence: SHA-256 of each item.
        reports: SHA-256 of a report -> id of a run that has it.
        views: results that the actor sees through the bundle.
        withheld: number of runs that are withheld from the actor.
        pictures: SHA-256 of the pictures of the runs.
        rows: rows of ``items.csv``.
        kept_items: the items, if they are kept whole.
    """

    most_kept: int
    evidence: list[str] = field(default_factory=list)
    reports: dict[str, str] = field(default_factory=dict)
    views: list[ResultView] = field(default_factory=list)
    withheld: int = 0
    pictures: set[str] = field(default_factory=set)
    rows: list[tuple[object, ...]] = field(default_factory=list)
    kept_items: list[ItemRecord] = field(default_factory=list)

    @property
    def drawn(self) -> bool:
        return len(self.evidence) <= self.most_kept

    def collect(self, items: Iterable[ItemRecord], step: Callable[[int], None]) -> Iterator[ItemRecord]:
        for number, item in enumerate(items, 1):
            step(number)
            self.evidence.append(item.sha256)
            self.reports.update({run.report_sha256: run.id for run in item.runs})
            self.views += [ResultView(item.sha256, run.id) for run in item.runs]
            self.withheld += item.runs_withheld
            self.pictures.update(sha256 for run in item.runs for sha256 in run.pictures.values())
            self.rows.append(row(item))
            if self.drawn:
                self.kept_items.append(item)
            else:
                self.kept_items.clear()
            yield item


def export_case(
    store: CaseStore,
    case_id: str,
    target: Path,
    *,
    actor: str,
    with_evidence: bool = False,
    letterhead: Letterhead | None = None,
    language: str = "en",
    most_drawn: int = MOST_DRAWN,
    progress: Progress | None = None,
) -> Exported:
    """Write a case as a bundle, either completely or not at all, and log the export.

    The bundle contains what the actor may see, and the log records that the actor has seen it. The log entry is the
    last step before the bundle gets its name, so no bundle exists without its entry.

    Args:
        store: store that holds the case.
        case_id: id of the case.
        target: path of the bundle, which must not exist.
        actor: name of the person who exports the case.
        with_evidence: whether the bundle includes the evidence files.
        letterhead: letterhead of the documents.
        language: language of the fixed texts in the documents.
        most_drawn: largest number of items for which documents are written.
        progress: called with the stage and the share done, 0..1.

    Raises:
        UsageError: the file exists or cannot be written, ``actor`` is empty, there are no texts in the language, or the
            signing key cannot be used.
        CaseError: the case does not exist, the store cannot be used, or its data is damaged.
    """
    texts_in(language)
    total = store.case(case_id).items  # before a signing key is created
    key = signing_key(store.folder)
    progress = progress or (lambda _stage, _share: None)
    exports: list[Exported] = []

    def collected(number: int) -> None:
        progress("Collecting", min(number / total, 1.0) if total else 1.0)  # items may have been added since

    def fill(path: Path) -> None:
        contents = _Contents(most_drawn)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            writer = _Writer(archive)
            with open_case_record(store, case_id, viewer=actor) as streamed:
                entries = _write_case(writer, streamed, contents.collect(streamed.items, collected))
                withheld = contents.withheld
                drawn = contents.drawn and not withheld  # an item with a withheld run would look unexamined
                record = replace(streamed, items=iter(contents.kept_items)).whole() if drawn else None
                log = streamed.frame.log
            _write_parts(writer, store, contents, with_evidence, progress)
            if record is not None:
                _draw(writer, record, store.runs.picture, progress, letterhead or Letterhead(""), language=language)
            writer.add(format.PUBLIC_KEY, public_pem(key.public_key()))
            manifest = Manifest(
                created_utc=stamp(store.clock()),
                tool_version=__version__,
                case_id=case_id,
                log_entries=entries,
                log_head_sha256=log.head_sha256 or START,
                with_evidence=with_evidence,
                withheld_runs=withheld,
                members=tuple(sorted(writer.members, key=lambda member: member.name)),
            ).to_bytes()
            writer.add(format.MANIFEST, manifest)
            writer.add(format.SIGNATURE, key.sign(manifest))
        exported = Exported(
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            fingerprint=fingerprint(key.public_key()),
            withheld_runs=withheld,
            drawn=drawn,
            log_good=log.verified,
        )
        with path.open("rb") as stream:
            file_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        facts = {
            "file": target.name,
            "file_sha256": file_sha256,
            "manifest_sha256": exported.manifest_sha256,
            "key_sha256": exported.fingerprint,
            "with_evidence": with_evidence,
        }
        store.reviews.record_export(case_id, actor=actor, parameters=facts, views=contents.views)
        exports.append(exported)

    publish_file(fill, target)
    return exports[0]


def _write_case(writer: _Writer, record: StreamedRecord, items: Iterator[ItemRecord]) -> int:
    """Write the case, its items and its log, and return the number of log entries."""
    entries = 0
    writer.add(format.CASE, header_text(record.frame))
    with writer.member(format.ITEMS) as stream:
        for item in items:
            stream.write(item_line(item))
    with writer.member(format.LOG) as stream:
        for entry in record.entries():
            stream.write(f"{canonical(msgspec.to_builtins(entry))}\n".encode())
            entries += 1
    return entries


def _write_parts(
    writer: _Writer, store: CaseStore, contents: _Contents, with_evidence: bool, progress: Progress
) -> None:
    """Write ``items.csv``, and the reports, pictures and evidence, each of which is checked against its hash."""
    writer.add(format.TABLE, to_csv(COLUMNS, contents.rows).encode())
    evidence = contents.evidence if with_evidence else []
    total, done = len(contents.reports) + len(contents.pictures) + len(evidence), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress("Writing", done / total)

    for sha256, run_id in contents.reports.items():
        writer.add(format.report_name(sha256), store.runs.report_text(run_id).encode())
        step()
    for sha256 in sorted(contents.pictures):
        writer.add(format.picture_name(sha256), store.runs.picture(sha256))
        step()
    for sha256 in evidence:
        with store.items.open_evidence(sha256).open() as stored, writer.member(format.evidence_name(sha256)) as stream:
            while chunk := stored.read(format.CHUNK):
                stream.write(chunk)
        if writer.members[-1].sha256 != sha256:
            raise CaseError(f"The stored file {sha256[:12]} changed during the export; export it again.")
        step()


def _draw(
    writer: _Writer, record: CaseRecord, picture: Fetch, progress: Progress, letterhead: Letterhead, *, language: str
) -> None:
    writer.add(format.PAGE, render_html(record, picture, letterhead=letterhead, language=language).encode())
    document = io.BytesIO()
    write_pdf(record, picture, document, letterhead=letterhead, language=language, progress=progress)
    writer.add(format.DOCUMENT, document.getvalue())
