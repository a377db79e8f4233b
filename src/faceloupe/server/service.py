"""The work of the HTTP API: networks, two job queues and recent reports, shared by all requests."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from secrets import token_hex

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.bundle.verify import verify
from faceloupe.config import DEFAULT_EFFORT, weights_folder
from faceloupe.errors import Cancelled, UsageError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sandbox.statements import open_embedded
from faceloupe.models.listing import ListedModel, listed_models
from faceloupe.report.build import ReportedAnalysis
from faceloupe.server.limits import Limits
from faceloupe.server.schema import AnalyzeQuery, CheckedBundle, CheckedFinding, report_text
from faceloupe.server.uploads import PendingBytes, Upload
from faceloupe.system import temp
from faceloupe.types import Cancel, Progress
from faceloupe.web.jobs import Job, JobQueue, State, Work
from faceloupe.web.recent import Recent, analysis_bytes

_REPORTS_BYTES = 256 * 1024 * 1024  # for the pixels of all recent analyses
_WAITING_IMAGES, _WAITING_IMAGES_EACH = 64, 32
_PENDING_UPLOADS = 4  # uploads of the largest size that may be in transfer or waiting


class Service:
    """The analysis of uploads. All threads may call it."""

    def __init__(self, networks: Networks, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with empty queues.

        Args:
            networks: networks of the default effort.
            limits: limits of the server.
            clock: monotonic clock, seconds.
        """
        self.networks, self.limits, self.folder = networks, limits, temp.folder("api")
        self.images = JobQueue(threads=limits.images, capacity=_WAITING_IMAGES, capacity_each=_WAITING_IMAGES_EACH)
        self.videos = JobQueue(threads=limits.videos)
        self.pending = PendingBytes(_PENDING_UPLOADS * limits.upload_bytes)
        self._clock, self._loading = clock, threading.Lock()
        self._loaded = {networks.settings.model_id: networks}
        self._models: list[ListedModel] | None = None
        self._recent: Recent[tuple[str, str], ReportedAnalysis] = Recent(analysis_bytes, _REPORTS_BYTES)

    def open_embedded(self, upload: Upload, number: int, owner: str) -> Job:
        """Queue the extraction of a content embedded in an upload; the job's result is an ``EvidenceFile``.

        It is a job because the file has to be parsed, which must be limited per client like other work.

        Args:
            upload: the upload; removed unless the job succeeds.
            number: number of the content, from 1.
            owner: id of the client.

        Raises:
            QueueFull: too many jobs are waiting; the upload is removed.
        """
        settings = self.networks.settings

        def work(*, progress: Progress, cancel: Cancel) -> EvidenceFile:
            return open_embedded(upload.open(settings.max_bytes), number, settings=settings)

        job = self._queued(self.images, upload, upload.name, work, owner)
        job.on_end(lambda: None if job.state is State.DONE else upload.remove())
        return job

    def submit(
        self, upload: Upload, query: AnalyzeQuery, owner: str, *, evidence_file: EvidenceFile | None = None
    ) -> Job:
        """Queue the analysis of an upload; the job's result is the text of the report.

        The upload is removed when the job ends.

        Args:
            upload: the uploaded file.
            query: options of the analysis.
            owner: id of the client.
            evidence_file: embedded content of the upload to analyze instead of the upload itself.

        Raises:
            EvidenceError: the upload cannot be read; it is removed.
            QueueFull: too many jobs are waiting; the upload is removed.
        """
        with _removed_on_error(upload):
            opened = evidence_file or upload.open(self.networks.settings.max_bytes)
        queue = self.videos if opened.evidence.media_type == "video" else self.images
        job = self._queued(queue, upload, opened.evidence.name, partial(self._analyze, opened, query, owner), owner)
        job.on_end(upload.remove)
        return job

    def job(self, job_id: str, owner: str) -> Job | None:
        """Return a client's job on a video; None if there is none or it has been forgotten."""
        job = self.videos.get(job_id)
        return job if job is not None and job.owner == owner else None

    def check(self, upload: Upload, owner: str) -> Job:
        """Queue the check of a bundle; the job's result is a ``CheckedBundle``.

        The upload is removed when the job ends.

        Raises:
            QueueFull: too many jobs are waiting; the upload is removed.
        """
        job = self._queued(self.images, upload, upload.name, partial(self._check, upload), owner)
        job.on_end(upload.remove)
        return job

    def report(self, sha256: str, owner: str) -> ReportedAnalysis | None:
        """Return the latest analysis of a file that a client uploaded; None if it is not in memory."""
        return self._recent.get((owner, sha256))

    def models(self) -> list[ListedModel]:
        """Return the installed models; their weights are checked at the first call."""
        with self._loading:
            if self._models is None:
                self._models = listed_models(weights_folder())
            return self._models

    def close(self) -> None:
        """Cancel all jobs."""
        self.images.close()
        self.videos.close()

    def _queued(self, queue: JobQueue, upload: Upload, title: str, work: Work, owner: str) -> Job:
        with _removed_on_error(upload):
            return queue.submit(token_hex(16), title, work, owner=owner)

    def _for(self, query: AnalyzeQuery) -> Networks:
        own = self.networks.settings
        settings = own if query.effort is None else replace(own, effort=query.effort, model="")
        with self._loading:
            if settings.model_id not in self._loaded:
                # Networks depend only on the model. The effort is set below, because reports state it.
                networks = Networks.load(replace(settings, effort=DEFAULT_EFFORT, model=settings.model_id))
                self._loaded[settings.model_id] = networks
            return replace(self._loaded[settings.model_id], settings=settings)

    def _analyze(
        self, evidence_file: EvidenceFile, query: AnalyzeQuery, owner: str, *, progress: Progress, cancel: Cancel
    ) -> bytes:
        watch = _Watch(self.limits.work_s, cancel, self._clock)
        with watch:
            networks = self._for(query)
            analysis = analyze(evidence_file, networks, explain=query.explain, progress=progress, cancel=watch.over)
        reported = ReportedAnalysis.of(analysis)
        self._recent.put((owner, evidence_file.evidence.sha256), reported)
        return report_text(reported.report, raw=query.raw)

    def _check(self, upload: Upload, *, progress: Progress, cancel: Cancel) -> CheckedBundle:
        watch = _Watch(self.limits.work_s, cancel, self._clock)

        def step(share: float) -> None:
            if watch.over():
                raise Cancelled("The check was cancelled.")
            progress("Hashing", share)

        with watch, upload.path.open("rb") as stream:
            verification = verify(stream, step=step)
        findings = tuple(CheckedFinding(finding.good, finding.text) for finding in verification.findings)
        return CheckedBundle(verification.good, verification.fingerprint, findings, verification.unchecked)


@contextlib.contextmanager
def _removed_on_error(upload: Upload) -> Iterator[None]:
    try:
        yield
    except BaseException:
        upload.remove()
        raise


class _Watch:
    """A time limit for work; at the limit, ``UsageError`` replaces ``Cancelled`` and states the cause."""

    def __init__(self, most_s: float, cancel: Cancel, clock: Callable[[], float]) -> None:
        self._most_s, self._cancel, self._clock = most_s, cancel, clock
        self._last = clock() + most_s

    def over(self) -> bool:
        return self._cancel() or self._clock() > self._last

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Cancelled) and not self._cancel():
            raise UsageError(f"The work was stopped at the limit of {self._most_s:g} s.") from error
