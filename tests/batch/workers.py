"""Stand-ins for workers: answers derived from the hash, and several ways to crash."""

import os
import signal
import sys
import time
from collections.abc import Iterator

from faceloupe.batch.tasks import Result, Task, WorkerConfig, failed
from faceloupe.errors import WeightsError
from faceloupe.types import Outcome


class Light:
    """Answers without a network. A name that holds SEGV, KILL or EXIT ends the process; SLOW lets others pass; a file
    whose name holds GONE could be hashed and not be read again."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        self._reports = worker_config.reports

    def __call__(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            name = os.path.basename(task.path)
            for word in ("SEGV", "KILL"):
                if word in name:
                    signal.raise_signal(getattr(signal, f"SIG{word}"))  # in this very thread
            if "EXIT" in name:
                sys.exit(3)
            time.sleep(0.2 if "SLOW" in name else 0.002)
            if "GONE" in name:
                yield task, failed("", "It is gone.")
                continue
            report = "{}" if self._reports else ""
            score = int(task.sha256[:8], 16) / 2**32
            alike = task.sha256[:16] if task.media_type == "image" else ""
            yield task, Result(task.media_type, Outcome.AUTHENTIC, "-", score, -score, 1, None, alike, report)


class Telling:
    """Return the requested effort and model as the reason."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        self._words = f"{worker_config.settings.effort} {worker_config.settings.model_id}"

    def __call__(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            yield task, Result(task.media_type, Outcome.NOT_APPLICABLE, self._words)


class Unready:
    """Cannot be made ready."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        raise WeightsError(f"The weights {worker_config.settings.model_id} are missing.")


class Stillborn:
    """Dies before it is ready."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
