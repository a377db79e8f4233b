"""Where the words of a command go."""

from typing import Protocol


class Console(Protocol):
    """Where a command's words go."""

    def emit(self, text: str, end: str = "\n") -> None:
        """Print a result on stdout."""

    def complain(self, text: str) -> None:
        """Print one sentence on stderr."""

    def progress(self, stage: str, share: float) -> None:
        """Show how far the work is, 0..1, where a person looks on."""

    def clear(self) -> None:
        """Take the progress away."""
