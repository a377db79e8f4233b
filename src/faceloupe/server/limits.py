"""The limits of one server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one server.

    Attributes:
        upload_bytes: maximum size of an uploaded file, bytes.
        upload_s: maximum time to receive an upload, seconds.
        work_s: maximum time of one analysis, seconds.
        videos: number of videos analyzed at once.
        images: number of images analyzed at once.
        requests_per_minute: maximum number of requests of one client per minute; 0 means no limit.
    """

    upload_bytes: int = 1024**3
    upload_s: float = 600.0
    work_s: float = 1800.0
    videos: int = 1
    images: int = 2
    requests_per_minute: int = 600
