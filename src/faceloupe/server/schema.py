"""What the HTTP API answers and is asked, as types; ``/v1/openapi.json`` is made from them."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from faceloupe.config import EFFORTS
from faceloupe.report.schema import Report, Share, json_text

RAW = "raw"  # field of a report that carries ``RawScores``
if TYPE_CHECKING:  # a type checker takes no names that are computed
    Effort = str
else:
    Effort = Literal[tuple(EFFORTS)]


class AnalyzeQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How a file is analyzed.

    Attributes:
        effort: how much is computed for a score; that of the server where it is not given.
        raw: add the logit and the probability before calibration to the report, as the field ``raw``.
        explain: make heatmaps, which ``/v1/reports/{sha256}/pictures`` then lists.
        embedded: analyze, in the place of the picture, a content that the file holds besides it: its number, from 1, in
            the order of ``evidence.embedded`` in the report on the file.
    """

    effort: Effort | None = None
    raw: bool = False
    explain: bool = False
    embedded: Annotated[int, Meta(ge=1)] | None = None


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be asked for in the query."""


class RawFace(Struct, frozen=True):
    """The network's word on one face or track before calibration; null where it was not scored."""

    id: int
    logit: float | None
    probability: Share | None


class RawScores(Struct, frozen=True):
    """The network's word before calibration: not a finding, and not comparable between models.

    Attributes:
        logit: of the decisive face.
        probability: logistic function of the logit, 0..1.
        faces: each face or track of the report.
    """

    logit: float | None
    probability: Share | None
    faces: tuple[RawFace, ...]


class JobInfo(Struct, frozen=True, kw_only=True):
    """Where a job stands.

    Attributes:
        stage: what is being done, for people.
        share: of the work that is done, 0..1.
        seconds_left: projected; null where it cannot be told yet.
        result: the report, once the state is ``done``.
        error: why it failed, one sentence, once the state is ``failed``.
    """

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: str
    share: Share
    seconds_left: float | None = None
    result: msgspec.Raw | None = None
    error: str | None = None


class Queue(Struct, frozen=True):
    """Jobs that are running or waiting."""

    images: int
    videos: int


class Health(Struct, frozen=True, kw_only=True):
    """That the server runs.

    Attributes:
        model: that scores where no effort is asked for.
        weights: the server does not start without verified weights.
    """

    status: Literal["ok"]
    version: str
    model: str
    weights_sha256: str
    weights: Literal["verified"]
    queue: Queue


class PictureList(Struct, frozen=True):
    """Names of the pictures of a report, each at ``/v1/reports/{sha256}/pictures/{name}``."""

    pictures: tuple[str, ...]


class CheckedFinding(Struct, frozen=True):
    """What one check of a bundle found, one sentence."""

    good: bool
    text: str


class CheckedBundle(Struct, frozen=True):
    """What the check of a bundle found.

    Attributes:
        good: whether every check passed.
        key_sha256: fingerprint of the key in the bundle; null where none can be read.
        not_checked: what was not checked, as an earlier check failed.
    """

    good: bool
    key_sha256: str | None
    findings: tuple[CheckedFinding, ...]
    not_checked: tuple[str, ...] = ()


def report_text(report: Report, *, raw: bool) -> bytes:
    """Return the text of a report, with the scores before calibration where they are asked for."""
    if not raw:
        return report.to_json().encode()
    return json_text(report.to_builtins() | {RAW: msgspec.to_builtins(raw_scores(report))}).encode()


def raw_scores(report: Report) -> RawScores:
    """Return what the network said before calibration."""
    faces = tuple(RawFace(face.id, face.raw_logit, _logistic(face.raw_logit)) for face in report.faces)
    logit = None if report.decisive is None else report.decisive.raw_logit
    return RawScores(logit, _logistic(logit), faces)


def _logistic(logit: float | None) -> float | None:
    return None if logit is None else 0.5 * (1.0 + math.tanh(0.5 * logit))
