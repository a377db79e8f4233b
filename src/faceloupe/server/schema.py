"""Types of the requests and answers of the HTTP API; ``/v1/openapi.json`` is generated from them."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from faceloupe.config import EFFORTS
from faceloupe.report.schema import Report, Share, json_text

RAW = "raw"  # field of a report that carries ``RawScores``
if TYPE_CHECKING:  # a type checker needs literal names
    Effort = str
else:
    Effort = Literal[tuple(EFFORTS)]


class AnalyzeQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of an analysis.

    Attributes:
        effort: amount of computation per score; the effort of the server if not given.
        raw: whether to add the logit and the probability before calibration to the report, as the field ``raw``.
        explain: whether to compute heatmaps, which ``/v1/reports/{sha256}/pictures`` then lists.
        embedded: number of an embedded content to analyze instead of the picture, from 1, in the order of
            ``evidence.embedded`` in the report on the file.
    """

    effort: Effort | None = None
    raw: bool = False
    explain: bool = False
    embedded: Annotated[int, Meta(ge=1)] | None = None


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """An empty query."""


class RawFace(Struct, frozen=True):
    """Output of the network for one face or track before calibration; null if it was not scored."""

    id: int
    logit: float | None
    probability: Share | None


class RawScores(Struct, frozen=True):
    """Output of the network before calibration: not a finding, and not comparable between models.

    Attributes:
        logit: logit of the decisive face.
        probability: logistic function of the logit, 0..1.
        faces: all faces or tracks of the report.
    """

    logit: float | None
    probability: Share | None
    faces: tuple[RawFace, ...]


class JobInfo(Struct, frozen=True, kw_only=True):
    """State of a job.

    Attributes:
        stage: name of the current stage, for people.
        share: share of the work done, 0..1.
        seconds_left: estimated time left, seconds; null if not yet known.
        result: the report, if the state is ``done``.
        error: one sentence that says why the job failed, if the state is ``failed``.
    """

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: str
    share: Share
    seconds_left: float | None = None
    result: msgspec.Raw | None = None
    error: str | None = None


class Queue(Struct, frozen=True):
    """Number of running and waiting jobs."""

    images: int
    videos: int


class Health(Struct, frozen=True, kw_only=True):
    """State of the running server.

    Attributes:
        model: id of the model of the default effort.
        weights: always ``verified``, because the server does not start otherwise.
    """

    status: Literal["ok"]
    version: str
    model: str
    weights_sha256: str
    weights: Literal["verified"]
    queue: Queue


class PictureList(Struct, frozen=True):
    """Names of the pictures of a report; each picture is at ``/v1/reports/{sha256}/pictures/{name}``."""

    pictures: tuple[str, ...]


class CheckedFinding(Struct, frozen=True):
    """Result of one check of a bundle, as a sentence."""

    good: bool
    text: str


class CheckedBundle(Struct, frozen=True):
    """Results of all checks of a bundle.

    Attributes:
        good: whether every check passed.
        key_sha256: fingerprint of the key in the bundle; null if no key can be read.
        not_checked: checks that were skipped because an earlier check failed, as sentences.
    """

    good: bool
    key_sha256: str | None
    findings: tuple[CheckedFinding, ...]
    not_checked: tuple[str, ...] = ()


def report_text(report: Report, *, raw: bool) -> bytes:
    """Return the text of a report, with the scores before calibration if ``raw`` is True."""
    if not raw:
        return report.to_json().encode()
    return json_text(report.to_builtins() | {RAW: msgspec.to_builtins(raw_scores(report))}).encode()


def raw_scores(report: Report) -> RawScores:
    """Return the outputs of the network before calibration."""
    faces = tuple(RawFace(face.id, face.raw_logit, _logistic(face.raw_logit)) for face in report.faces)
    logit = None if report.decisive is None else report.decisive.raw_logit
    return RawScores(logit, _logistic(logit), faces)


def _logistic(logit: float | None) -> float | None:
    return None if logit is None else 0.5 * (1.0 + math.tanh(0.5 * logit))
