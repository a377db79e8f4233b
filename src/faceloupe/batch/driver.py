"""The driver of a batch: it lists the inputs, submits them to an engine, orders the results and writes the rows.

It keeps track of only a bounded number of files at a time.
"""

import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from faceloupe import __version__
from faceloupe.batch.duplicates import DuplicateIndex, ExistingRows
from faceloupe.batch.executors.base import Engine
from faceloupe.batch.readers import Reader
from faceloupe.batch.table import Row, Table, cell
from faceloupe.batch.tasks import Result, Task, failed
from faceloupe.config import Settings
from faceloupe.errors import Cancelled, UsageError
from faceloupe.models.record import ModelRecord
from faceloupe.scoring.decision import UNSCORED
from faceloupe.system.files import replacing
from faceloupe.types import Cancel, Outcome

_WINDOW = 512  # most files without a row, so that a long video does not hold up the files behind it,
_WINDOW_SHARE = 8  # or this many times the capacity of the engine if that is more, as on large clusters
_WAIT_S = 0.2  # longest wait for results, and shortest time between reports of progress
_RATE_S = 30.0  # period over which the rate is measured

Listing = Callable[[], Iterator[Task]]


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """Progress of a batch.

    Attributes:
        done: number of rows in the table.
        total: number of files in the batch; None while they are still being counted. Embedded content is added as it is
            found.
        outcomes: number of rows for every outcome.
        duplicates: number of rows whose file has the same bytes as an earlier file.
        near_duplicates: number of rows whose image is nearly identical to an earlier image.
        resumed: number of rows that existed before this run.
        seconds: duration of this run so far.
        rate: current rate in files per second; None until it is known.
    """

    done: int
    total: int | None
    outcomes: dict[Outcome, int]
    duplicates: int
    near_duplicates: int
    resumed: int
    seconds: float
    rate: float | None

    @property
    def share(self) -> float | None:
        """Share of the files that are done, 0..1; None while the files are still being counted."""
        return None if self.total is None else self.done / max(self.total, self.done, 1)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end; None until the total and the rate are known."""
        return None if self.total is None or not self.rate else max(self.total - self.done, 0) / self.rate


ShowBatchProgress = Callable[[BatchProgress], None]


@dataclass(slots=True)
class _Counts:
    clock: Callable[[], float]
    began: float
    total: int | None = None  # inputs that are not embedded in another input
    embedded: int = 0  # embedded inputs that were listed so far
    rows: int = 0
    resumed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    near: int = 0
    marks: list[tuple[float, int]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows += 1
        self.outcomes[row.outcome] += 1
        self.duplicates += bool(row.duplicate_of)
        self.near += bool(row.near_duplicate_of)

    def batch_progress(self) -> BatchProgress:
        now = self.clock()
        self.marks.append((now, self.rows))
        while now - self.marks[0][0] > _RATE_S:
            del self.marks[0]
        (before, rows), rate = self.marks[0], None
        if now - before >= 1.0 and self.rows > rows:
            rate = (self.rows - rows) / (now - before)
        outcomes = {outcome: self.outcomes[outcome.value] for outcome in Outcome}
        seconds = now - self.began
        total = None if self.total is None else self.total + self.embedded
        return BatchProgress(self.rows, total, outcomes, self.duplicates, self.near, self.resumed, seconds, rate)


def run(
    listing: Listing,
    table: Table,
    engine: Engine,
    record: ModelRecord,
    *,
    settings: Settings,
    reports: Path | None = None,
    thumbnails: Path | None = None,
    counted: Listing | None = None,
    progress: ShowBatchProgress | None = None,
    cancel: Cancel | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BatchProgress:
    """Analyze every input that has no row in the table yet, and write one row each, in the order of the listing.

    Args:
        listing: returns an iterator over the inputs.
        table: the open table; inputs that already have a row are skipped.
        engine: carries out the tasks; it is not closed.
        record: record of the model that scores.
        settings: settings of every analysis.
        reports: folder for the full reports, ``SHA-256.json``; None writes none.
        thumbnails: folder for the thumbnails, ``SHA-256.jpg``; None writes none.
        counted: returns an iterator over the inputs without embedded content, to count them in a separate thread; None
            if the inputs can be listed only once.
        progress: called at intervals with the progress.
        cancel: called at intervals; the batch stops if it returns True, and the table keeps its complete rows.
        clock: monotonic clock in seconds.

    Returns:
        The final progress.

    Raises:
        UsageError: the table cannot be written, or was started with another model, effort or version.
        Cancelled: ``cancel`` returned True.
    """
    seen, existing, reader, ended = DuplicateIndex(), ExistingRows(), Reader(settings.max_bytes), threading.Event()
    try:
        counts, folders = _Counts(clock, clock()), (reports, thumbnails)
        effort = cell(settings.reported_effort)
        driver = _Driver(table, engine, record, effort, seen, reader, counts, folders, progress, cancel)
        driver.read_existing_rows(existing)
        if counted is not None and progress is not None:
            threading.Thread(target=driver.count, args=(counted, ended), name="counting inputs", daemon=True).start()
        driver.work(task for task in driver.count_embedded(listing()) if not existing.match(cell(task.shown)))
        return driver.counts.batch_progress()
    finally:
        ended.set()
        for resource in (reader, seen, existing):
            resource.close()


@dataclass(slots=True)
class _Driver:
    table: Table
    engine: Engine
    record: ModelRecord
    effort: str
    seen: DuplicateIndex
    reader: Reader
    counts: _Counts
    folders: tuple[Path | None, Path | None]  # for reports and for thumbnails
    progress: ShowBatchProgress | None
    cancel: Cancel | None
    pending: OrderedDict[int, Task] = field(default_factory=OrderedDict)  # files without a row, by index
    finished: dict[int, Result] = field(default_factory=dict)  # results of pending files, by index
    copies: set[int] = field(default_factory=set)  # indices of pending files with the same bytes as an earlier file
    under_way: dict[str, int] = field(default_factory=dict)  # SHA-256 -> index of a file without a row
    submitted: int = 0  # tasks that the engine has not returned yet
    reported_at: float = -1e9

    def read_existing_rows(self, existing: ExistingRows) -> None:
        """Read the rows that the table already has.

        Raises:
            UsageError: the table was started with another model, effort or version, or is not a batch table.
        """
        mine = (self.record.id, self.record.weights_sha256, self.effort, __version__)
        for row, position in self.table.rows():
            theirs = (row.model_id, row.weights_sha256, row.effort, row.tool_version)
            if theirs != mine:
                then, now = (
                    f"{model}{f' (effort {effort})' if effort else ''} by version {version}"
                    for model, _, effort, version in (theirs, mine)
                )
                raise UsageError(f"The table was started with {then}, and this is {now}; start a new table.")
            existing.add(row.path)
            self.seen.add(row, position)
            self.counts.add(row)
        self.counts.resumed = self.counts.rows

    def count(self, counted: Listing, ended: threading.Event) -> None:
        """Count the inputs in a separate thread; errors are ignored here, because the main listing reports them."""
        with contextlib.suppress(Exception):
            number = 0
            for _ in counted():
                number += 1
                if ended.is_set():  # the batch has ended, or was cancelled
                    return
            self.counts.total = number

    def count_embedded(self, inputs: Iterator[Task]) -> Iterator[Task]:
        """Yield the inputs unchanged, and count the embedded inputs among them."""
        for task in inputs:
            self.counts.embedded += task.embedded is not None
            yield task

    def work(self, inputs: Iterator[Task]) -> None:
        """Submit the inputs, collect the results and write the rows, until no input is left."""
        index, exhausted = 0, False
        window = max(_WINDOW, _WINDOW_SHARE * self.engine.capacity)
        while not exhausted or self.pending:
            while not exhausted and self.submitted < self.engine.capacity and len(self.pending) < window:
                task = next(inputs, None)
                if task is None:
                    exhausted = True
                    break
                self._begin(index, task)
                index += 1
                self._write()
                self._step()
            if self.submitted:
                for done, result in self.engine.results(_WAIT_S):
                    self._keep(self.pending[done].sha256, result)
                    self.finished[done] = replace(result, report="", thumbnail=b"")
                    self.submitted -= 1
            self._write()
            self._step()
        self._step(last=True)

    def _begin(self, index: int, listed: Task) -> None:
        """Identify a file, and submit it unless it has a problem, is a system file, or is a duplicate."""
        task = self.pending[index] = replace(self.reader.identify(listed, self._step), index=index)
        if task.problem:
            self.finished[index] = failed(task.media_type, task.problem)
        elif task.system_file:
            why = f"{UNSCORED}this is {task.system_file}, which holds no picture or video of its own"
            self.finished[index] = Result("", Outcome.NOT_APPLICABLE, why)
        elif task.sha256 in self.under_way or self.seen.exact(task.sha256):
            self.copies.add(index)
        else:
            self._submit(task)

    def _submit(self, task: Task) -> None:
        self.under_way[task.sha256] = task.index
        self.engine.submit(task)
        self.submitted += 1

    def _write(self) -> None:
        """Write the rows of the pending files in order, up to the first file without a result."""
        while self.pending:
            index, task = next(iter(self.pending.items()))
            first = self.seen.exact(task.sha256) if index in self.copies else None
            if index in self.copies and first is None:  # the earlier file could no longer be read
                self.copies.remove(index)
                self._submit(task)
            if first is not None:
                self.copies.remove(index)
                row = self.table.at(first)
                row = row._replace(path=cell(task.shown), duplicate_of=row.path)
            elif index in self.finished:
                row = self._row(cell(task.shown), task.sha256, self.finished.pop(index))
            else:
                return
            self.seen.add(row, self.table.add(row))
            self.counts.add(row)
            if self.under_way.get(task.sha256) == index:
                del self.under_way[task.sha256]
            del self.pending[index]

    def _row(self, path: str, sha256: str, result: Result) -> Row:
        near = self.seen.near(result.perceptual_hash)
        return Row(
            path,
            sha256 if result.media_type else "",  # no hash for a file that could not be read again
            result.media_type,
            result.outcome.value,
            cell(result.score),
            cell(result.log10_lr),
            cell(result.faces),
            cell(result.reason),
            cell(result.duration_s),
            self.record.id,
            self.record.weights_sha256,
            __version__,
            "",
            self.table.at(near).path if near else "",
            result.perceptual_hash,
            self.effort,
            result.provenance,
            cell(result.generator),
        )

    def _keep(self, sha256: str, result: Result) -> None:
        """Write the report and the thumbnail of a file; this happens before its row is written."""
        reports, thumbnails = self.folders
        if reports is not None and result.report:
            _put(reports / f"{sha256}.json", f"{result.report}\n".encode())
        if thumbnails is not None and result.thumbnail:
            _put(thumbnails / f"{sha256}.jpg", result.thumbnail)

    def _step(self, *, last: bool = False) -> None:
        if self.cancel and self.cancel():
            raise Cancelled("The batch was cancelled; it can be continued.")
        now = self.counts.clock()
        if self.progress and (last or now - self.reported_at >= _WAIT_S):
            self.reported_at = now
            self.progress(self.counts.batch_progress())


def _put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as problem:
        raise UsageError(
            f"{path.name} cannot be written to {path.parent} ({problem.strerror or problem}); free some space and "
            "continue the batch."
        ) from problem
