"""A queue for long work in threads independent of Streamlit; all sessions see the same jobs and take turns."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import StrEnum
from typing import Protocol

from faceloupe.errors import Cancelled, FaceLoupeError, UsageError
from faceloupe.system import memory
from faceloupe.types import Cancel, FrameStage, Progress

_LOG = logging.getLogger(__name__)
_WAITING, _WAITING_EACH = 64, 8  # maximum number of waiting jobs: in total, and of one owner
_MAX_ENDED_JOBS = 64  # ended jobs that can still be looked up
_STEADY_S, _STEADY_SHARE = 1.0, 0.02  # least duration and progress of a stage for an estimate
_SHUTDOWN_WAIT_S = 5.0  # time that a stopping server waits for running jobs
_UNFORESEEN = "An unexpected error occurred ({}); see the log of the server for details."

Clock = Callable[[], float]


class QueueFull(UsageError):
    """Too many jobs are waiting."""


class Work(Protocol):
    """The work of a job."""

    def __call__(self, *, progress: Progress, cancel: Cancel) -> object:
        """Do the work.

        Args:
            progress: to be called with the stage and the share done, 0..1.
            cancel: to be called between the steps; if it returns True, the work must raise ``Cancelled``.
        """


class State(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """A piece of long work. Any thread may read and cancel it; only a thread of the queue executes it.

    Attributes:
        key: identifies the work: two jobs with the same key do the same.
        title: title shown to people.
        owner: who submitted it first.
        state: the current state.
        stage: name of the current stage.
        share: share of the work done, 0..1.
        started: clock time of the start, seconds; None before the start.
        finished: clock time of the end, seconds; None before the end.
        result: return value of the work; None unless the job is done.
        error: one sentence that says why the job failed; empty unless it failed.
        failure: the error that the work raised, if it is a ``FaceLoupeError``.
    """

    def __init__(self, key: Hashable, title: str, work: Work, clock: Clock, owner: Hashable) -> None:
        self.key, self.title, self.owner = key, title, owner
        self.state, self.share = State.QUEUED, 0.0
        self.stage: str = "Waiting"
        self.started: float | None = None
        self.finished: float | None = None
        self.result: object = None
        self.error = ""
        self.failure: FaceLoupeError | None = None
        self._work: Work | None = work
        self._clock, self._lock, self._over = clock, threading.Lock(), threading.Event()
        self._on_end: list[Callable[[], None]] = []
        self._stage_began = (0.0, 0.0, 0)  # clock, share and frames done when the current kind of stage began

    @property
    def live(self) -> bool:
        """Whether the job is waiting or running."""
        return self.state in (State.QUEUED, State.RUNNING)

    @property
    def frames(self) -> tuple[int, int] | None:
        """Number of frames done, and their approximate total; None in stages without frames."""
        stage = self.stage
        return (stage.done, stage.whole) if isinstance(stage, FrameStage) else None

    @property
    def rate(self) -> float | None:
        """Frames per second; None if not yet known."""
        began, _, before = self._stage_began
        lasted, frames = self._clock() - began, self.frames
        return (frames[0] - before) / lasted if frames and frames[0] > before and lasted >= _STEADY_S else None

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the current kind of stage, because stages differ in speed; None if not yet known."""
        began, before, _ = self._stage_began
        lasted, gained = self._clock() - began, self.share - before
        if self.state is not State.RUNNING or lasted < _STEADY_S or gained < _STEADY_SHARE:
            return None
        return lasted * (1.0 - self.share) / gained

    def wait(self, seconds: float) -> None:
        """Wait until the job has ended, or until this time has passed."""
        self._over.wait(seconds)

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call a function when the job ends, in the thread that ends it; call it now if the job has ended."""
        with self._lock:
            if self.live:
                self._on_end.append(callback)
                return
        _call(callback)

    def cancel(self) -> None:
        """End the job for all observers immediately; the work itself stops at its next step."""
        self._end(State.CANCELLED)

    def execute(self) -> None:
        """Do the work in the calling thread; an exception that it raises ends the job."""
        with self._lock:
            work = self._work
            if not self.live or work is None:
                return
            self.state, self.started = State.RUNNING, self._clock()
        try:
            result = work(progress=self._progress, cancel=lambda: not self.live)
        except Cancelled:
            self._end(State.CANCELLED)
        except FaceLoupeError as problem:
            self.failure = problem.with_traceback(None)  # a traceback would keep the objects of the work alive
            self._end(State.FAILED, error=str(problem))
        except Exception as problem:  # noqa: BLE001 - the thread must outlive whatever the work raises
            _LOG.exception("A job failed")
            self._end(State.FAILED, error=_UNFORESEEN.format(type(problem).__name__))
        else:
            self._end(State.DONE, result=result)

    def _progress(self, stage: str, share: float) -> None:
        goes_on = stage == self.stage or (isinstance(stage, FrameStage) and isinstance(self.stage, FrameStage))
        self.stage, self.share = stage, share
        if not goes_on:
            self._stage_began = (self._clock(), share, self.frames[0] if self.frames else 0)

    def _end(self, state: State, *, result: object = None, error: str = "") -> None:
        with self._lock:
            if not self.live:  # it was cancelled before, and a later result is ignored
                return
            self.result, self.error, self.finished = result, error, self._clock()
            self._work = None  # it may hold an upload
            self.state = state  # last, so that whoever sees the new state also sees the result
            self._over.set()
            callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            _call(callback)


def _call(callback: Callable[[], None]) -> None:
    """Call a function that waits for the end of a job; its exceptions must not reach the thread that ended the job."""
    try:
        callback()
    except Exception:  # noqa: BLE001 - the job has ended, and its thread has others to carry out
        _LOG.exception("What was to follow a job failed")


class JobQueue:
    """A queue of jobs, executed by a few threads; owners take turns, and the owner served longest ago is next.

    An owner who submits a hundred jobs delays the job of another owner only by as many jobs as there are threads.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        capacity: int = _WAITING,
        capacity_each: int = _WAITING_EACH,
        clock: Clock = time.monotonic,
    ) -> None:
        """Create an empty queue; the threads start when jobs are submitted.

        Args:
            threads: number of threads that execute jobs.
            capacity: maximum number of waiting jobs.
            capacity_each: maximum number of waiting jobs of one owner.
            clock: monotonic clock, seconds.
        """
        self._capacity, self._capacity_each, self._clock = capacity, capacity_each, clock
        self._changed = threading.Condition()
        self._line: list[Job] = []
        self._running: list[Job] = []
        self._served: dict[Hashable, int] = {}  # owner -> number of the owner's last turn
        self._turns = 0
        self._known: OrderedDict[Hashable, Job] = OrderedDict()
        self._unstarted = threads

    def submit(self, key: Hashable, title: str, work: Work, *, owner: Hashable = None) -> Job:
        """Queue work; if a job with this key is already waiting or running, return that job instead.

        Args:
            key: identifies the work.
            title: title shown to people.
            work: the work.
            owner: who submits it; owners take turns.

        Raises:
            QueueFull: too many jobs are waiting.
        """
        with self._changed:
            known = self._known.get(key)
            if known is not None and known.live:
                return known
            self._line = [job for job in self._line if job.live]
            for waiting, capacity in (
                (len(self._line), self._capacity),
                (sum(job.owner == owner for job in self._line), self._capacity_each),
            ):
                if waiting >= capacity:
                    raise QueueFull(f"{capacity} jobs are already waiting; try again when one has finished.")
            job = self._known[key] = Job(key, title, work, self._clock, owner)
            self._known.move_to_end(key)
            self._forget()
            self._line.append(job)
            if self._unstarted:
                self._unstarted -= 1
                threading.Thread(target=self._serve, name="faceloupe-jobs", daemon=True).start()
            self._changed.notify()
            return job

    def get(self, key: Hashable) -> Job | None:
        """Return the job last submitted with this key; None if there is none or it has been forgotten."""
        with self._changed:
            return self._known.get(key)

    def live(self) -> list[Job]:
        """Return the running and waiting jobs in their order of execution."""
        with self._changed:
            return [job for job in (*self._running, *self._order()) if job.live]

    def ahead(self, job: Job) -> int:
        """Return the number of jobs before this one; a running job counts until its work has stopped."""
        with self._changed:
            order = self._order()
            return order.index(job) + len(self._running) if job in order else 0

    def close(self) -> None:
        """Cancel all jobs, and wait a few seconds for running work to stop."""
        for job in self.live():
            job.cancel()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, _SHUTDOWN_WAIT_S)

    def _order(self) -> list[Job]:
        """Return the waiting jobs in order of execution: each time the oldest job of the owner served longest ago."""
        waiting, served, order = [job for job in self._line if job.live], dict(self._served), []
        for turn in range(self._turns, self._turns + len(waiting)):
            order.append(min(waiting, key=lambda job: served.get(job.owner, -1)))
            waiting.remove(order[-1])
            served[order[-1].owner] = turn
        return order

    def _forget(self) -> None:
        ended = [key for key, job in self._known.items() if not job.live]
        for key in ended[: max(0, len(ended) - _MAX_ENDED_JOBS)]:
            del self._known[key]
        present = {job.owner for job in self._known.values()}
        self._served = {owner: turn for owner, turn in self._served.items() if owner in present}

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._order)
                job = self._order()[0]
                self._line.remove(job)
                self._running.append(job)
                self._served[job.owner] = self._turns
                self._turns += 1
            job.execute()
            with self._changed:
                self._running.remove(job)
                self._changed.notify_all()
                idle = not self._running and not self._order()
            if idle:  # running jobs would stop for it, and allocate the memory again
                memory.release_unused()
