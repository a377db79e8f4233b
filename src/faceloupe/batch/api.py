"""Running a batch, from its specification to its table; the command line and the pages call this module."""

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
    """The specification of a batch.

    Attributes:
        paths: files, folders and ZIPs; ``-`` for a list of paths on standard input.
        out: path of the table: Parquet if it ends with ``.parquet``, otherwise CSV.
        resume: whether to continue an existing table.
        reports: folder for the full reports; None writes none.
        thumbnails: folder for a small JPEG of each file that shows something, ``SHA-256.jpg``; None writes none.
        relative_to: folders; paths below one of them are shown relative to it.
        embedded: whether the content embedded in a file gets rows of its own.
    """

    paths: tuple[str, ...]
    out: Path
    resume: bool = False
    reports: Path | None = None
    thumbnails: Path | None = None
    relative_to: tuple[Path, ...] = ()
    embedded: bool = False


def run_batch(
    spec: BatchSpec,
    settings: Settings,
    *,
    make_engine: EngineMaker = LocalEngine,
    stdin: BinaryIO | None = None,
    progress: ShowBatchProgress | None = None,
    cancel: Cancel | None = None,
) -> BatchProgress:
    """Run a batch, and return its final progress.

    Args:
        spec: the inputs and outputs of the batch.
        settings: settings of every analysis.
        make_engine: makes the engine, which is closed at the end.
        stdin: stream that a list of paths is read from.
        progress: called at intervals, in the calling thread.
        cancel: called at intervals; the batch stops if it returns True, and the table keeps its rows.

    Raises:
        UsageError: a path is missing, or an output already exists or cannot be written.
        WeightsError: there are no verified weights, so nothing may be scored.
        Cancelled: ``cancel`` returned True.
    """
    refuse_missing(spec.paths)
    record = find_record(weights_folder(), settings.model_id)
    parquet = spec.out.suffix == _PARQUET
    if parquet and os.path.lexists(spec.out):
        raise UsageError(f"{spec.out} already exists and is not overwritten; choose another name.")
    if spec.reports is not None:
        _prepare(spec.reports, resume=spec.resume)
        _refuse_within(spec.reports, spec.paths)
    growing = spec.out.with_name(spec.out.name + _GROWING) if parquet else spec.out
    temp.remove_leftovers()
    with ExitStack() as stack:
        spool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=temp.prefix("batch"))))
        wanted = spec.reports is not None, spec.thumbnails is not None
        engine = make_engine(WorkerConfig(settings, weights_folder(), *wanted, spool))
        stack.callback(engine.close)
        table = Table(growing, resume=spec.resume)
        stack.callback(table.close)
        own = {table.identity} | ({_identity(spec.reports)} if spec.reports else set())

        def files() -> Iterator[Task]:
            return inputs(spec, stdin=stdin, skip=lambda status: (status.st_dev, status.st_ino) in own)

        def listing() -> Iterator[Task]:
            return with_embedded(files(), settings) if spec.embedded else files()

        batch_progress = run(
            listing,
            table,
            engine,
            record,
            settings=settings,
            reports=spec.reports,
            thumbnails=spec.thumbnails,
            counted=None if STANDARD_INPUT in spec.paths else files,
            progress=progress,
            cancel=cancel,
        )
        if parquet:
            from faceloupe.batch.parquet import write  # here: pyarrow is slow to import

            write(table, spec.out)
            growing.unlink()
        return batch_progress


def inputs(spec: BatchSpec, *, stdin: BinaryIO | None = None, skip: Skip = lambda _: False) -> Iterator[Task]:
    """Yield the files of a batch, with their paths relative to ``spec.relative_to``; see ``listed``."""
    folders = tuple(f"{shown(str(folder))}{os.sep}" for folder in spec.relative_to)
    for task in listed(spec.paths, stdin=stdin, skip=skip):
        below = next((folder for folder in folders if task.shown.startswith(folder)), "")
        yield replace(task, shown=task.shown.removeprefix(below))


def _prepare(folder: Path, *, resume: bool) -> None:
    """Create the folder for the reports.

    Raises:
        UsageError: the folder cannot be created, or is not empty and the batch is not resumed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not resume and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty, and files are not overwritten; choose another folder.")
    except OSError as problem:
        raise UsageError(f"{folder} cannot be used ({problem.strerror}); choose another folder.") from problem


def _refuse_within(folder: Path, paths: tuple[str, ...]) -> None:
    """Refuse inputs in the folder for the reports.

    Raises:
        UsageError: one of the paths is this folder or lies in it, so that reports would become inputs.
    """
    for path in paths:
        if path != STANDARD_INPUT and Path(path).resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{shown(path)} lies in {folder}, the folder for the reports; choose another folder.")


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
