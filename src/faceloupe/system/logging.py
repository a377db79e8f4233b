"""The log: full traces for whoever maintains the installation, and nothing of the evidence or of any secret.

Evidence is named by its SHA-256. An exception's own words are left out, as they may quote a file, a path or a key: its
type and the places in the code stay. The log is kept in the data folder, and what is old is deleted.
"""

import copy
import logging
import os
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from faceloupe.config import data_folder, private_folder

_BYTES, _KEPT = 1_000_000, 5  # of one file, and older files
_WAIT_S = 2.0  # for another process that writes; a record is lost rather than work held up
_LOGGED = ("faceloupe", "streamlit.error_util")  # the latter tells what a page did not foresee
_TRACE_FRAMES = 40


def trace(problem: BaseException | None) -> str:
    """Where an exception, and what caused it, was raised, and of what types they are; without their words."""
    parts: list[str] = []
    seen: set[int] = set()
    while problem is not None and id(problem) not in seen:
        seen.add(id(problem))
        frames = traceback.extract_tb(problem.__traceback__, -_TRACE_FRAMES)
        parts += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        number = f" {problem.errno}" if isinstance(problem, OSError) and problem.errno is not None else ""
        parts.append(f"{type(problem).__name__}{number}")
        problem = problem.__cause__ or problem.__context__
    return " | ".join(parts)


class _Wordless(logging.Formatter):
    """One line a record, and exceptions without their words."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return trace(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        own = copy.copy(record)
        own.exc_text = None  # what another handler made of it
        return super().format(own).replace("\n", " | ")


class _Quiet(RotatingFileHandler):
    """A log that makes its folder when there is something to tell, and that stops no work where it cannot.

    Several processes may write to one file: one at a time, and what another has put away is left there.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            private_folder(Path(self.baseFilename).parent)
            with FileLock(f"{self.baseFilename}.lock", timeout=_WAIT_S):
                self._leave_what_was_put_away()
                super().emit(record)
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)

    def _leave_what_was_put_away(self) -> None:
        if self.stream is None:
            return
        path = Path(self.baseFilename)
        if not path.exists() or not os.path.samestat(os.fstat(self.stream.fileno()), path.stat()):
            self.stream.close()
            self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        private_folder(Path(self.baseFilename).parent)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def log_handler(name: str) -> logging.Handler:
    """Return a handler that keeps ``log/NAME.log`` in the data folder."""
    path = data_folder() / "log" / f"{name}.log"
    handler = _Quiet(path, maxBytes=_BYTES, backupCount=_KEPT, delay=True, encoding="utf-8")
    handler.setFormatter(_Wordless("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    return handler


def keep_log(name: str) -> None:
    """Have the log of this process kept in the data folder, and not shown on the terminal.

    Args:
        name: of the file, which processes of one kind share.
    """
    if not any(isinstance(existing, _Quiet) for existing in logging.getLogger(_LOGGED[0]).handlers):
        handler = log_handler(name)
        for logged in _LOGGED:
            logging.getLogger(logged).addHandler(handler)
