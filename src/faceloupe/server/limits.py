"""What one server accepts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server accepts.

    Attributes:
        upload_bytes: of a file.
        upload_s: seconds until its last byte.
        work_s: seconds of one analysis.
        videos: that are analyzed at once.
        images: that are analyzed at once.
        requests_per_minute: of one client; 0 does not limit them.
    """

    upload_bytes: int = 1024**3
    upload_s: float = 600.0
    work_s: float = 1800.0
    videos: int = 1
    images: int = 2
    requests_per_minute: int = 600
