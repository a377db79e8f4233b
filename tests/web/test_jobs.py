"""The queue of long work."""

import logging
import threading
import time

import pytest

from faceloupe.errors import Cancelled, EvidenceError, UsageError
from faceloupe.types import FrameStage
from faceloupe.web.jobs import JobQueue, State

PATIENCE_S = 10.0


@pytest.fixture
def queue():
    queue = JobQueue()
    yield queue
    queue.close()


def ended(job):
    """The job, once it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while job.live and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not job.live
    return job


def begun(job):
    """The job, once it runs."""
    deadline = time.monotonic() + PATIENCE_S
    while job.state is State.QUEUED and time.monotonic() < deadline:
        time.sleep(0.005)
    assert job.state is State.RUNNING
    return job


def patient(*, progress, cancel):
    """Work without an end, that asks whether to stop every hundredth of a second."""
    progress("Working", 0.5)
    while not cancel():
        time.sleep(0.01)
    raise Cancelled("The work was cancelled.")


def held(gate):
    """Work that lasts until the gate is opened."""

    def work(*, progress, cancel):
        assert gate.wait(PATIENCE_S)

    return work


def test_a_job_that_is_done_holds_its_result_and_its_times(queue):
    job = ended(queue.submit("key", "Title", lambda *, progress, cancel: 42))
    assert (job.state, job.result, job.error) == (State.DONE, 42, "")
    assert job.started <= job.finished
    assert queue.get("key") is job


def test_a_cancelled_job_is_over_within_a_second_and_so_is_its_work(queue):
    job = queue.submit("first", "First", patient)
    after = queue.submit("second", "Second", lambda *, progress, cancel: "done")
    begun(job)
    began = time.monotonic()
    job.cancel()
    assert job.state is State.CANCELLED
    assert ended(after).result == "done"
    assert time.monotonic() - began < 1.0


def test_a_result_that_comes_after_the_cancellation_is_dropped(queue):
    gate = threading.Event()

    def deaf(*, progress, cancel):
        assert gate.wait(PATIENCE_S)
        return "late"

    job, after = queue.submit("deaf", "Deaf", deaf), queue.submit("after", "After", lambda *, progress, cancel: None)
    begun(job).cancel()
    gate.set()
    ended(after)
    assert (job.state, job.result) == (State.CANCELLED, None)


def test_waiting_for_a_job_ends_with_it_and_not_before(queue):
    gate = threading.Event()
    job = begun(queue.submit("key", "Title", held(gate)))
    job.wait(0.05)
    assert job.live
    threading.Timer(0.05, gate.set).start()
    job.wait(PATIENCE_S)
    assert (job.live, job.state) == (False, State.DONE)


def test_an_error_meant_for_people_is_the_sentence_of_the_job(queue):
    def failing(*, progress, cancel):
        raise EvidenceError("The file is empty.")

    job = ended(queue.submit("key", "Title", failing))
    assert (job.state, job.error) == (State.FAILED, "The file is empty.")


def test_any_other_error_becomes_a_plain_sentence_and_its_trace_is_logged(queue, caplog):
    def failing(*, progress, cancel):
        raise ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR):
        job = ended(queue.submit("key", "Title", failing))
    assert job.state is State.FAILED
    assert "ZeroDivisionError" in job.error
    assert "secret detail" not in job.error
    assert "secret detail" in caplog.text
    assert ended(queue.submit("next", "Next", lambda *, progress, cancel: 1)).result == 1  # the thread goes on


def test_a_callback_that_fails_ends_neither_the_thread_nor_the_other_callbacks(queue, caplog):
    called, gate = threading.Event(), threading.Event()

    def failing():
        raise PermissionError("the disk is read-only")

    job = queue.submit("key", "Title", held(gate))
    job.on_end(failing)
    job.on_end(called.set)
    with caplog.at_level(logging.ERROR):
        gate.set()
        assert called.wait(PATIENCE_S)
        job.on_end(failing)  # in the thread of whoever comes too late, likewise
    assert job.state is State.DONE
    assert len(caplog.records) == 2
    assert ended(queue.submit("next", "Next", lambda *, progress, cancel: 1)).result == 1


def test_one_key_is_one_live_job_and_a_new_one_after_its_end(queue):
    gate = threading.Event()
    job = queue.submit("key", "Title", held(gate))
    assert queue.submit("key", "Title", held(gate)) is job
    gate.set()
    ended(job)
    assert queue.submit("key", "Title", held(gate)) is not job


def test_jobs_run_one_at_a_time_in_order_and_know_their_position(queue):
    gate, order = threading.Event(), []

    def noting(name):
        def work(*, progress, cancel):
            assert gate.wait(PATIENCE_S)
            order.append(name)

        return work

    jobs = [queue.submit(name, name, noting(name)) for name in "abc"]
    begun(jobs[0])
    assert [job.state for job in jobs] == [State.RUNNING, State.QUEUED, State.QUEUED]
    assert [queue.ahead(job) for job in jobs] == [0, 1, 2]
    jobs[1].cancel()
    assert queue.ahead(jobs[2]) == 1
    assert queue.live() == [jobs[0], jobs[2]]
    gate.set()
    ended(jobs[2])
    assert order == ["a", "c"]


def test_owners_take_turns_however_much_one_of_them_submits(queue):
    gate, order = threading.Event(), []

    def noting(name):
        return lambda *, progress, cancel: order.append(name)

    begun(queue.submit("gate", "gate", held(gate), owner="heavy"))
    jobs = [queue.submit(f"heavy {number}", "", noting(f"heavy {number}"), owner="heavy") for number in range(5)]
    jobs += [queue.submit(f"light {number}", "", noting(f"light {number}"), owner="light") for number in range(2)]
    assert [queue.ahead(job) for job in jobs] == [2, 4, 5, 6, 7, 1, 3]
    gate.set()
    for job in jobs:
        ended(job)
    assert order == ["light 0", "heavy 0", "light 1", "heavy 1", "heavy 2", "heavy 3", "heavy 4"]


def test_one_owner_cannot_fill_the_queue_for_the_others():
    queue, gate = JobQueue(capacity_each=2), threading.Event()
    begun(queue.submit("gate", "gate", held(gate), owner="heavy"))
    for number in range(2):
        queue.submit(number, "", held(gate), owner="heavy")
    with pytest.raises(UsageError, match="2 jobs are already waiting"):
        queue.submit("more", "", held(gate), owner="heavy")
    queue.submit("light", "", held(gate), owner="light")
    gate.set()
    queue.close()


def test_as_many_jobs_run_at_once_as_there_are_threads():
    queue, gate = JobQueue(threads=2), threading.Event()
    jobs = [queue.submit(name, name, held(gate)) for name in "abc"]
    begun(jobs[0])
    begun(jobs[1])
    assert jobs[2].state is State.QUEUED
    gate.set()
    ended(jobs[2])
    queue.close()


def test_a_full_queue_refuses_with_a_sentence():
    queue, gate = JobQueue(capacity=1), threading.Event()
    begun(queue.submit("a", "a", held(gate)))
    queue.submit("b", "b", held(gate))
    with pytest.raises(UsageError, match="already waiting"):
        queue.submit("c", "c", held(gate))
    gate.set()
    queue.close()


def test_rate_and_time_left_follow_from_the_frames_done_in_the_time_passed():
    now, gate, notified = [0.0], threading.Event(), threading.Event()

    def work(*, progress, cancel):
        progress("Reading the container", 0.1)
        now[0] = 2.0
        progress(FrameStage(0, 40), 0.1)
        now[0] = 7.0
        progress(FrameStage(20, 40), 0.5)
        notified.set()
        assert gate.wait(PATIENCE_S)

    queue = JobQueue(clock=lambda: now[0])
    job = queue.submit("key", "Title", work)
    assert notified.wait(PATIENCE_S)
    assert (job.stage, job.share, job.frames) == ("Frame 20 of about 40", 0.5, (20, 40))
    assert job.rate == pytest.approx(20 / 5)
    assert job.seconds_left == pytest.approx(5 * 0.5 / 0.4)  # the seconds before the frames began tell nothing of them
    gate.set()
    queue.close()


def test_an_ending_server_cancels_what_is_under_way(queue):
    job = queue.submit("key", "Title", patient)
    queue.close()
    assert job.state is State.CANCELLED
