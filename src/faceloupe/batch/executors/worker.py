"""The work of a worker on one file, independent of the engine and of other files."""

import io
import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from faceloupe.batch.readers import TOO_MUCH_MEMORY, OpenedTask, Reader
from faceloupe.batch.tasks import Result, Task, WorkerConfig, failed
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.findings import TrackFinding
from faceloupe.media.evidence import Picture
from faceloupe.media.sandbox.client import start
from faceloupe.system import memory
from faceloupe.system.logging import keep_log
from faceloupe.types import Outcome

if TYPE_CHECKING:
    from faceloupe.analysis.pipeline import Networks
    from faceloupe.analysis.results import Analysis


_LOG = logging.getLogger(__name__)


class Work(Protocol):
    """Carries out tasks one after another.

    An instance may be made in one process and called in another process that is forked from it. So making it must not
    start a thread.
    """

    def __call__(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield tasks and results in order; one or two further tasks may be drawn before a result is yielded."""


class AnalysisWorker:
    """Analyzes the files of a batch: loads the networks once, and decodes the next file while one is analyzed.

    Each file goes through ``analyze`` separately. Passing faces of several files through a network together would save
    little on a CPU, and the last digits of a score would depend on the other files.
    """

    def __init__(self, worker_config: WorkerConfig, networks: "Networks | None" = None) -> None:
        """Load the networks.

        Args:
            worker_config: configuration of the worker.
            networks: networks that this process has already loaded; None loads them.

        Raises:
            FaceLoupeError: the networks cannot be loaded.
        """
        from faceloupe.analysis.pipeline import Networks  # here: the driver works without torch

        keep_log("batch")
        self._settings, self._spool = worker_config.settings, worker_config.spool
        self._reports, self._thumbnails = worker_config.reports, worker_config.thumbnails
        self._networks = networks or Networks.load(
            worker_config.settings, folder=worker_config.weights, start_decoder=False
        )

    def __call__(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        """See ``Work``."""
        from faceloupe.analysis.prefetch import ahead  # here: the driver works without torch

        start()  # the decoding process, as a child of this process and not of the template
        with closing(ahead(self._ready(tasks), 1)) as ready:
            for number, file in enumerate(ready):
                if number % _TRIM_EVERY == 0:
                    memory.release_unused()
                if isinstance(file, OpenedTask):
                    yield file.task, self._examined(file)
                elif file is not None:
                    yield file

    def _ready(self, tasks: Iterator[Task]) -> Generator[OpenedTask | tuple[Task, Result]]:
        reader = Reader(self._settings.max_bytes, self._spool)
        try:
            for task in tasks:
                try:
                    yield _ready(reader.take(task), self._settings)
                except FaceLoupeError as problem:
                    yield task, failed("", str(problem))
                except MemoryError:
                    yield task, failed(task.media_type, TOO_MUCH_MEMORY)
                except Exception as problem:  # noqa: BLE001 - every input gets its row
                    yield task, _unforeseen(task, problem)
        finally:
            reader.close()

    def _examined(self, file: OpenedTask) -> Result:
        from faceloupe.analysis.pipeline import analyze  # here: the driver works without torch

        task, evidence_file = file.task, file.evidence_file
        try:
            analysis = analyze(evidence_file, self._networks, explain=False, decode=file.decoded)
            return self._result(analysis, file.picture)
        except FaceLoupeError as problem:
            return failed(task.media_type, str(problem))
        except MemoryError:
            return failed(task.media_type, TOO_MUCH_MEMORY)
        except Exception as problem:  # noqa: BLE001 - every input gets its row
            return _unforeseen(task, problem)
        finally:
            file.release()

    def _result(self, analysis: "Analysis", picture: "Picture | None") -> Result:
        from faceloupe.media.similarity import perceptual_hash  # here: the driver works without torch
        from faceloupe.report.build import build

        lenses = analysis.lenses
        return Result(
            analysis.evidence.media_type,
            analysis.outcome,
            analysis.reason,
            analysis.score,
            analysis.log10_lr,
            None if analysis.outcome is Outcome.ERROR else len(analysis.faces) + len(analysis.tracks),
            analysis.evidence.duration_s,
            "" if picture is None else perceptual_hash(picture.rgb),
            build(analysis).to_json() if self._reports else "",
            _thumbnail(analysis, picture) if self._thumbnails else b"",
            "" if lenses is None else lenses.provenance,
            "" if lenses is None else lenses.generator or "",
        )


def _ready(taken: OpenedTask, settings: Settings) -> OpenedTask:
    """Decode an image ahead of its analysis; return a video unchanged."""
    from faceloupe.media.sandbox.image import decode  # here: the driver works without torch

    if taken.evidence_file.evidence.media_type == "video":
        return taken
    try:
        return replace(taken, picture=decode(taken.evidence_file, settings=settings))
    except EvidenceError as problem:
        return replace(taken, problem=problem)
    except BaseException:
        taken.release()
        raise


def _thumbnail(analysis: "Analysis", picture: "Picture | None") -> bytes:
    """Return a small JPEG of an image, or of the decisive face in a video; empty if nothing can be shown."""
    from PIL import Image  # here: the driver decodes no image

    if picture is None:
        decisive = analysis.decisive
        shown = decisive if isinstance(decisive, TrackFinding) else next(iter(analysis.tracks), None)
        return b"" if shown is None else (shown.strongest or shown.largest).thumb
    rgb = picture.rgb
    step = max(1, min(rgb.shape[:2]) // _THUMBNAIL_PX)  # keep every step-th pixel first: faster for large pictures
    image, stream = Image.fromarray(rgb[::step, ::step]), io.BytesIO()
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    image.save(stream, "JPEG", quality=80)
    return stream.getvalue()


_THUMBNAIL_PX = 72
_TRIM_EVERY = 64  # files


def _unforeseen(task: Task, problem: Exception) -> Result:
    _LOG.error("A file of a batch was not analyzed: %s", task.sha256, exc_info=problem)
    reason = (
        f"An unexpected error occurred while this file was analyzed ({type(problem).__name__}); see the log for "
        "details."
    )
    return failed(task.media_type, reason)
