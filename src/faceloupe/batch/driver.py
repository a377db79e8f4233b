"""The driver of a batch: it lists, hands out, puts in order and writes, and holds a bounded number of files in mind."""

import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from faceloupe import __version__
from faceloupe.batch.duplicates import DuplicateIndex, Written
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

_WINDOW = 512  # files that may be listed beyond the first one without a row: what a long video lets pass,
_WINDOW_SHARE = 8  # or so many times what the engine has under way, for large clusters
_WAIT_S = 0.2  # between two looks whether to go on
_RATE_S = 30.0  # over which the rate is taken

Listing = Callable[[], Iterator[Task]]


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        done: rows in the table.
        total: files of the batch; None while they are still being counted. What they hold besides their pictures counts
            once it was found.
        outcomes: rows by outcome, every outcome named.
        duplicates: rows of the same bytes as an earlier one.
        near_duplicates: rows of images nearly identical to an earlier one.
        resumed: rows that were there before this run.
        seconds: that this run has lasted.
        rate: files a second, lately; None where it is not known yet.
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
        """Of the files that are done, 0..1; None while they are still being counted."""
        return None if self.total is None else self.done / max(self.total, self.done, 1)

    @property
    def seconds_left(self) -> float | None:
        """Projected; None where it is not known yet."""
        return None if self.total is None or not self.rate else max(self.total - self.done, 0) / self.rate


ShowBatchProgress = Callable[[BatchProgress], None]


@dataclass(slots=True)
class _Counts:
    clock: Callable[[], float]
    began: float
    total: int | None = None  # of the inputs that are no part of another one
    embedded: int = 0  # parts of others that were listed so far
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
    """Examine every input that the table holds no row of, and write one row each, in the order of the listing.

    Args:
        listing: gives the inputs.
        table: open; rows in it are not repeated.
        engine: carries out the work; it stays open.
        record: of the model that scores.
        settings: of every analysis.
        reports: folder for the full reports, ``SHA-256.json``; None keeps none.
        thumbnails: folder for small pictures, ``SHA-256.jpg``; likewise.
        counted: lists the inputs to be counted, but nothing that is taken out of them; gone through in a thread of its
            own. None where they can be listed once only.
        progress: called now and then.
        cancel: asked now and then; True ends the work, and the table holds whole rows.
        clock: returns seconds, steadily rising.

    Returns:
        The counts at the end.

    Raises:
        UsageError: the table cannot be written, or is of another model or effort.
        Cancelled: ``cancel`` said so.
    """
    seen, written, reader, ended = DuplicateIndex(), Written(), Reader(settings.max_bytes), threading.Event()
    try:
        counts, folders = _Counts(clock, clock()), (reports, thumbnails)
        effort = cell(settings.stated_effort)
        driver = _Driver(table, engine, record, effort, seen, reader, counts, folders, progress, cancel)
        driver.take_up(written)
        if counted is not None and progress is not None:
            threading.Thread(target=driver.count, args=(counted, ended), name="counting inputs", daemon=True).start()
        driver.work(task for task in driver.noted(listing()) if not written.take(cell(task.shown)))
        return driver.counts.batch_progress()
    finally:
        ended.set()
        for resource in (reader, seen, written):
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
    folders: tuple[Path | None, Path | None]  # of the reports and of the thumbnails
    progress: ShowBatchProgress | None
    cancel: Cancel | None
    pending: OrderedDict[int, Task] = field(default_factory=OrderedDict)  # files without a row, by index
    finished: dict[int, Result] = field(default_factory=dict)  # of those of them that came back, by index
    copies: set[int] = field(default_factory=set)  # those of the same bytes as an earlier file
    under_way: dict[str, int] = field(default_factory=dict)  # SHA-256 -> index of a file without a row
    submitted: int = 0  # to the engine, and not back yet
    reported_at: float = -1e9

    def take_up(self, written: Written) -> None:
        """Learn what the table holds already."""
        mine = (self.record.id, self.record.weights_sha256, self.effort, __version__)
        for row, position in self.table.rows():
            theirs = (row.model_id, row.weights_sha256, row.effort, row.tool_version)
            if theirs != mine:
                then, now = (
                    f"{model}{f' (effort {effort})' if effort else ''} by version {version}"
                    for model, _, effort, version in (theirs, mine)
                )
                raise UsageError(f"The table was started with {then}, and this is {now}; start a new table.")
            written.add(row.path)
            self.seen.add(row, position)
            self.counts.add(row)
        self.counts.resumed = self.counts.rows

    def count(self, counted: Listing, ended: threading.Event) -> None:
        """Learn how many inputs there are, in a thread of its own; what goes wrong is met by whoever lists them too."""
        with contextlib.suppress(Exception):
            number = 0
            for _ in counted():
                number += 1
                if ended.is_set():  # the batch has ended, or was cancelled
                    return
            self.counts.total = number

    def noted(self, inputs: Iterator[Task]) -> Iterator[Task]:
        """Pass inputs on, and note those that were taken out of others, which are counted as they come."""
        for task in inputs:
            self.counts.embedded += task.embedded is not None
            yield task

    def work(self, inputs: Iterator[Task]) -> None:
        """Go through the inputs."""
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
        """Take on a file."""
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
        """Write the rows of all files that no file without a result comes before."""
        while self.pending:
            index, task = next(iter(self.pending.items()))
            first = self.seen.exact(task.sha256) if index in self.copies else None
            if index in self.copies and first is None:  # that one could not be read any more; this one may be
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
            sha256 if result.media_type else "",  # a hash of what could not be read again would be of nothing
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
        """Write a full report and a thumbnail; they are there before the row is."""
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
        UsageError: it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as problem:
        raise UsageError(
            f"{path.name} cannot be written to {path.parent} ({problem.strerror or problem}); free some space and "
            "continue the batch."
        ) from problem
