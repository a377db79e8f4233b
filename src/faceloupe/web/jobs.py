"""Long work in threads that know nothing of Streamlit, shared out fairly; every session sees the same jobs."""

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
_WAITING, _WAITING_EACH = 64, 8  # jobs in the queue: of everyone, and of one owner
_REMEMBERED = 64  # ended jobs whose end can still be told
_STEADY_S, _STEADY_SHARE = 1.0, 0.02  # a stage must have lasted so long, and got so far, to be projected
_LEAVING_S = 5.0  # that an ending server waits for the piece of work under way
_UNFORESEEN = "An unexpected error occurred ({}); see the log of the server for details."

Clock = Callable[[], float]


class QueueFull(UsageError):
    """Too many jobs wait already."""


class Work(Protocol):
    """What a job does."""

    def __call__(self, *, progress: Progress, cancel: Cancel) -> object:
        """Do it.

        Args:
            progress: to be told the stage and the share done, 0..1.
            cancel: to be asked between the steps; where it says True, ``Cancelled`` is raised.
        """


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One piece of long work. Any thread may read and cancel it; the queue's thread alone carries it out.

    Attributes:
        key: what is done, to what: two jobs of one key do the same.
        title: for people.
        owner: who asked for it first.
        state: where it stands.
        stage: what is being done.
        share: of the work that is done, 0..1.
        started: reading of the clock, seconds; None before.
        finished: likewise.
        result: what the work returned; None unless it is done.
        error: the sentence that says why it failed; empty unless it has.
        failure: the error with that sentence, where it is one that was foreseen.
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
        self._stage_began = (0.0, 0.0, 0)  # clock, share and frames done when the present kind of stage began

    @property
    def live(self) -> bool:
        """Whether it is waiting or running."""
        return self.state in (State.QUEUED, State.RUNNING)

    @property
    def frames(self) -> tuple[int, int] | None:
        """Frames done and about how many there are; None in stages that do not tell."""
        stage = self.stage
        return (stage.done, stage.whole) if isinstance(stage, FrameStage) else None

    @property
    def rate(self) -> float | None:
        """Frames per second; None where it cannot be told yet."""
        began, _, before = self._stage_began
        lasted, frames = self._clock() - began, self.frames
        return (frames[0] - before) / lasted if frames and frames[0] > before and lasted >= _STEADY_S else None

    @property
    def seconds_left(self) -> float | None:
        """Projected from the present kind of stage, as others run at another pace; None where it cannot be told yet."""
        began, before, _ = self._stage_began
        lasted, gained = self._clock() - began, self.share - before
        if self.state is not State.RUNNING or lasted < _STEADY_S or gained < _STEADY_SHARE:
            return None
        return lasted * (1.0 - self.share) / gained

    def wait(self, seconds: float) -> None:
        """Return when the job has ended, or when so much time has passed."""
        self._over.wait(seconds)

    def on_end(self, callback: Callable[[], None]) -> None:
        """Have something called once the job has ended, by whichever thread ends it; at once where it has ended."""
        with self._lock:
            if self.live:
                self._on_end.append(callback)
                return
        _call(callback)

    def cancel(self) -> None:
        """End the job for everyone who looks at it, at once; the work itself ends at its next step."""
        self._end(State.CANCELLED)

    def execute(self) -> None:
        """Do the work, in the calling thread; what it raises becomes the job's end."""
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
            self.failure = problem.with_traceback(None)  # which would hold what the work held
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
            if not self.live:  # what comes after a cancellation comes too late
                return
            self.result, self.error, self.finished = result, error, self._clock()
            self._work = None  # it may hold an upload
            self.state = state  # after the rest: who sees it finds that in place
            self._over.set()
            callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            _call(callback)


def _call(callback: Callable[[], None]) -> None:
    """Call what waits for the end of a job; what it raises is not the business of whoever ended the job."""
    try:
        callback()
    except Exception:  # noqa: BLE001 - the job has ended, and its thread has others to carry out
        _LOG.exception("What was to follow a job failed")


class JobQueue:
    """Jobs that are carried out by a few threads, in turns: whoever was served longest ago comes first.

    Someone who submits a hundred jobs delays another's one by as many as there are threads.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        capacity: int = _WAITING,
        capacity_each: int = _WAITING_EACH,
        clock: Clock = time.monotonic,
    ) -> None:
        """Start the threads.

        Args:
            threads: that carry out jobs.
            capacity: jobs that may wait.
            capacity_each: jobs of one owner that may wait.
            clock: seconds, steady.
        """
        self._capacity, self._capacity_each, self._clock = capacity, capacity_each, clock
        self._changed = threading.Condition()
        self._line: list[Job] = []
        self._running: list[Job] = []
        self._served: dict[Hashable, int] = {}  # owner -> number of the turn that was theirs last
        self._turns = 0
        self._known: OrderedDict[Hashable, Job] = OrderedDict()
        self._unstarted = threads

    def submit(self, key: Hashable, title: str, work: Work, *, owner: Hashable = None) -> Job:
        """Have work done; where a job of that key is waiting or running, that one is returned.

        Args:
            key: what is done, to what.
            title: for people.
            work: what is done.
            owner: among whom the threads are shared out.

        Raises:
            QueueFull: too many jobs wait already.
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
        """Return the job last submitted with that key, as long as it is remembered."""
        with self._changed:
            return self._known.get(key)

    def live(self) -> list[Job]:
        """Return the running and waiting jobs in their order of execution."""
        with self._changed:
            return [job for job in (*self._running, *self._order()) if job.live]

    def ahead(self, job: Job) -> int:
        """How many jobs are carried out before that one; a cancelled one counts until its work has stopped."""
        with self._changed:
            order = self._order()
            return order.index(job) + len(self._running) if job in order else 0

    def close(self) -> None:
        """Cancel everything, and wait a little for the work under way to stop."""
        for job in self.live():
            job.cancel()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, _LEAVING_S)

    def _order(self) -> list[Job]:
        """Return the waiting jobs by turns: each time the oldest job of the owner served longest ago."""
        waiting, served, order = [job for job in self._line if job.live], dict(self._served), []
        for turn in range(self._turns, self._turns + len(waiting)):
            order.append(min(waiting, key=lambda job: served.get(job.owner, -1)))
            waiting.remove(order[-1])
            served[order[-1].owner] = turn
        return order

    def _forget(self) -> None:
        ended = [key for key, job in self._known.items() if not job.live]
        for key in ended[: max(0, len(ended) - _REMEMBERED)]:
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
            if idle:  # while others run, they would stop for it, and fetch the memory again
                memory.trim()
