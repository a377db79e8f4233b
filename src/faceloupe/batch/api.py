"""A batch from its order to its table: what the command line and the pages call."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from faceloupe.batch.driver import BatchProgress, ShowBatchProgress, run
from faceloupe.batch.executors.base import Engine
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.batch.inputs import STANDARD_INPUT, Skip, listed, refuse_missing, shown, with_embedded
from faceloupe.batch.table import Table
from faceloupe.batch.tasks import Task, WorkerConfig
from faceloupe.config import Settings, weights_folder
from faceloupe.errors import UsageError
from faceloupe.models.record import find_record
from faceloupe.system import temp
from faceloupe.types import Cancel

_PARQUET, _GROWING = ".parquet", ".part.csv"

EngineMaker = Callable[[WorkerConfig], Engine]


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """What a batch is to do.

    Attributes:
        paths: files, folders, ZIPs; ``-`` for a list on standard input.
        out: the table: a CSV, or Parquet where the name ends so.
        resume: take up a table that was begun.
        reports: folder for the full reports; None keeps none.
        thumbnails: folder for a small JPEG of each file that shows something, ``SHA-256.jpg``; None makes none.
        relative_to: folders; paths below one are shown without it.
        embedded: whether what a file holds besides its picture has a row of its own.
    """

    paths: tuple[str, ...]
    out: Path
    resume: bool = False
    reports: Path | None = None
    thumbnails: Path | None = None
    relative_to: tuple[Path, ...] = ()
    embedded: bool = False


def run_batch(
    order: BatchSpec,
    settings: Settings,
    *,
    engine: EngineMaker = LocalEngine,
    stdin: BinaryIO | None = None,
    progress: ShowBatchProgress | None = None,
    cancel: Cancel | None = None,
) -> BatchProgress:
    """Carry out a batch.

    Args:
        order: the inputs and outputs of the batch.
        settings: of every analysis.
        engine: makes the engine; it is closed at the end.
        stdin: where a list of paths is read from.
        progress: called now and then, in the calling thread.
        cancel: asked now and then; True ends the work, and what is in the table stays.

    Raises:
        UsageError: a path is missing, the output is there already or cannot be written.
        WeightsError: no verified weights; nothing may be scored.
        Cancelled: ``cancel`` said so.
    """
    refuse_missing(order.paths)
    record = find_record(weights_folder(), settings.model_id)
    parquet = order.out.suffix == _PARQUET
    if parquet and os.path.lexists(order.out):
        raise UsageError(f"{order.out} already exists and is not overwritten; choose another name.")
    if order.reports is not None:
        _prepare(order.reports, resume=order.resume)
        _refuse_within(order.reports, order.paths)
    growing = order.out.with_name(order.out.name + _GROWING) if parquet else order.out
    temp.remove_leftovers()
    with ExitStack() as stack:
        spool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=temp.prefix("batch"))))
        wanted = order.reports is not None, order.thumbnails is not None
        hands = engine(WorkerConfig(settings, weights_folder(), *wanted, spool))
        stack.callback(hands.close)
        table = Table(growing, resume=order.resume)
        stack.callback(table.close)
        own = {table.identity} | ({_identity(order.reports)} if order.reports else set())

        def files() -> Iterator[Task]:
            return inputs(order, stdin=stdin, skip=lambda status: (status.st_dev, status.st_ino) in own)

        def listing() -> Iterator[Task]:
            return with_embedded(files(), settings) if order.embedded else files()

        batch_progress = run(
            listing,
            table,
            hands,
            record,
            settings=settings,
            reports=order.reports,
            thumbnails=order.thumbnails,
            counted=None if STANDARD_INPUT in order.paths else files,
            progress=progress,
            cancel=cancel,
        )
        if parquet:
            from faceloupe.batch.parquet import write  # here: pyarrow is slow to import

            write(table, order.out)
            growing.unlink()
        return batch_progress


def inputs(order: BatchSpec, *, stdin: BinaryIO | None = None, skip: Skip = lambda _: False) -> Iterator[Task]:
    """Yield the files of a batch; see ``listed``."""
    folders = tuple(f"{shown(str(folder))}{os.sep}" for folder in order.relative_to)
    for task in listed(order.paths, stdin=stdin, skip=skip):
        below = next((folder for folder in folders if task.shown.startswith(folder)), "")
        yield replace(task, shown=task.shown.removeprefix(below))


def _prepare(folder: Path, *, resume: bool) -> None:
    """Make the folder of the reports.

    Raises:
        UsageError: the folder cannot be made, or holds something already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not resume and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty, and files are not overwritten; choose another folder.")
    except OSError as problem:
        raise UsageError(f"{folder} cannot be used ({problem.strerror}); choose another folder.") from problem


def _refuse_within(folder: Path, paths: tuple[str, ...]) -> None:
    """Refuse inputs that lie where reports are written.

    Raises:
        UsageError: one of the paths lies in the folder of the reports, or is it, so that reports would be inputs.
    """
    for path in paths:
        if path != STANDARD_INPUT and Path(path).resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{shown(path)} lies in {folder}, the folder for the reports; choose another folder.")


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
