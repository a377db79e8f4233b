"""The log: full traces for the maintainer of the installation, without evidence and without secrets.

Evidence is identified by its SHA-256. Exception messages are left out, because they may quote a file, a path or a key;
the types of exceptions and the code locations are kept. The log is stored in the data folder, and old log files are
deleted.
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

_BYTES, _KEPT = 1_000_000, 5  # size of a file, and number of older files
_WAIT_S = 2.0  # for another writing process; then the record is dropped, so that the work goes on
_LOGGED = ("faceloupe", "streamlit.error_util")  # the second logs unexpected errors of a page
_TRACE_FRAMES = 40


def trace(problem: BaseException | None) -> str:
    """Return the types of an exception and its causes, and the code locations, without the exception messages."""
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


class _RedactingFormatter(logging.Formatter):
    """Formatter that writes one line per record, and exceptions without their messages."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return trace(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        own = copy.copy(record)
        own.exc_text = None  # cached by another handler
        return super().format(own).replace("\n", " | ")


class _SharedLogHandler(RotatingFileHandler):
    """Log handler that creates its folder at the first record, and that never stops the work if it cannot write.

    Several processes may write to one file, one at a time. If another process has rotated the file, the new file is
    opened.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            private_folder(Path(self.baseFilename).parent)
            with FileLock(f"{self.baseFilename}.lock", timeout=_WAIT_S):
                self._reopen_if_rotated()
                super().emit(record)
        except Exception:  # noqa: BLE001 - as in all handlers
            self.handleError(record)

    def _reopen_if_rotated(self) -> None:
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
    """Return a handler that writes ``log/NAME.log`` in the data folder."""
    path = data_folder() / "log" / f"{name}.log"
    handler = _SharedLogHandler(path, maxBytes=_BYTES, backupCount=_KEPT, delay=True, encoding="utf-8")
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    return handler


def keep_log(name: str) -> None:
    """Write the log of this process to the data folder, and not to the terminal.

    Args:
        name: name of the file, which processes of one kind share.
    """
    if not any(isinstance(existing, _SharedLogHandler) for existing in logging.getLogger(_LOGGED[0]).handlers):
        handler = log_handler(name)
        for logged in _LOGGED:
            logging.getLogger(logged).addHandler(handler)
