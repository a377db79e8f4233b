"""The interface through which commands print."""

from typing import Protocol


class Console(Protocol):
    """Output of a command."""

    def emit(self, text: str, end: str = "\n") -> None:
        """Print a result on stdout."""

    def complain(self, text: str) -> None:
        """Print one sentence on stderr."""

    def progress(self, stage: str, share: float) -> None:
        """Show the stage and the share done, 0..1, if a person can see it."""

    def clear(self) -> None:
        """Remove the progress display."""
