"""The report of schema version "1" as types, which all code uses to read, write and check reports.

The fields of each struct are in the order of the JSON text and have the same names, unless ``name`` gives another name.
Fields that were added after version 0.4.0 have a default, so that reports of that version can still be read.

The docstrings of the structs are published as descriptions in ``docs/schema``, so they use the words of JSON: ``null``
is None in Python, and an absent field is ``UNSET``.
"""

import json
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field, inspect

from faceloupe.errors import ReportError
from faceloupe.types import Outcome, Segment

SCHEMA_VERSION: Literal["1"] = "1"
MAX_BYTES = 256 * 1024 * 1024  # largest report that is read; 10,000 frames with ten faces each take a third of it

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Number = int | float  # an integer stays an integer, so that a setting is shown as it was set
BoxCorners = tuple[float, float, float, float]


class Tool(Struct, frozen=True, kw_only=True):
    """The installation that made a report.

    Attributes:
        git_commit: commit of the checkout; null outside a checkout.
        modified: whether tracked files differed from that commit; null outside a checkout.
        libraries: version of each library, by name.
    """

    name: str
    version: str
    git_commit: str | None
    modified: bool | None = None
    libraries: dict[str, str]


class Component(Struct, frozen=True, kw_only=True):
    """A network of the model: a member, the model itself, or an encoder that members share.

    Attributes:
        weights_sha256: SHA-256 of the weights file.
    """

    id: str
    weights_sha256: str


class CalibratorInfo(Struct, frozen=True, kw_only=True):
    """The function that maps the raw logit of the model to calibrated log-odds, see ``models.contract.Calibrator``.

    Attributes:
        id: id of this fit.
        kind: ``temperature``, ``platt`` or ``isotonic``.
        slope: the log-odds are slope * logit + intercept; not used by ``isotonic``.
        intercept: see ``slope``; 0 for ``temperature``.
        knots: pairs of logit and log-odds, linear between them and constant outside; empty unless ``isotonic``.
        fitted_on: the faces that the calibrator was fitted on, as text.
    """

    id: str
    kind: str
    slope: float
    intercept: float
    knots: tuple[tuple[float, float], ...]
    fitted_on: str


class Bounds(Struct, frozen=True, kw_only=True):
    """The smallest and the largest log10 of a likelihood ratio that the validation data support."""

    lower: float
    upper: float


class ScoreThresholds(Struct, frozen=True, kw_only=True):
    """Thresholds of the score, 0..1: authentic at or below ``lower``, manipulated at or above ``upper``."""

    lower: Share
    upper: Share


class RateIntervals(Struct, frozen=True, kw_only=True):
    """The 95 % intervals of the two error rates, each from its lower to its upper end, 0..1."""

    fpr: tuple[Share, Share]
    fnr: tuple[Share, Share]


class SizeRatesInfo(Struct, frozen=True, kw_only=True):
    """Verdicts on faces of similar size, see ``models.record.SizeRates``.

    Attributes:
        least_px: least longer side of the face box, pixels; the next entry begins where this one ends.
        n_real: number of authentic faces.
        accused: number of authentic faces called manipulated.
        n_fake: number of manipulated faces.
        detected: number of manipulated faces called manipulated.
        cleared: number of manipulated faces called authentic.
    """

    least_px: Count
    n_real: Count
    accused: Count
    n_fake: Count
    detected: Count
    cleared: Count


class ErrorRatesInfo(Struct, frozen=True, kw_only=True):
    """Error rates of the model at its thresholds, measured on single faces.

    Attributes:
        fpr: share of the authentic faces that were called manipulated, 0..1.
        fnr: share of the manipulated faces that were called authentic, 0..1.
        n_real: number of authentic faces.
        n_fake: number of manipulated faces.
        inconclusive: share of all faces whose score was between the thresholds, 0..1.
        measured_on: the faces that were used, as text.
        by_size: the verdicts by size of the face, from small to large; empty if they were not counted.
    """

    fpr: Share
    fnr: Share
    n_real: Count
    n_fake: Count
    interval_95: RateIntervals
    inconclusive: Share
    measured_on: str
    by_size: tuple[SizeRatesInfo, ...] = ()


class ModelInfo(Struct, frozen=True, kw_only=True):
    """The model that scored the faces, as stated in its record.

    Attributes:
        components: the networks of the model; empty in reports of version 0.4.0.
        weights_sha256: SHA-256 of the weights file; of a model with members, the hash over the hashes of their records.
        members: ids of the models whose results this model combines; empty for a single network.
        record_sha256: SHA-256 of the record.
        calibrator_id: same as ``calibrator.id``.
        explanation_max: upper end of the color scale of the heatmaps, logits per cell.
    """

    id: str
    architecture: str
    components: tuple[Component, ...] = ()
    weights_sha256: str
    members: tuple[str, ...]
    record_sha256: str
    calibrator_id: str | None
    calibrator: CalibratorInfo
    thresholds: ScoreThresholds
    log10_lr_bounds: Bounds
    error_rates: ErrorRatesInfo
    explanation_max: float


class EmbeddedInfo(Struct, frozen=True, kw_only=True):
    """Content of a file besides its picture, see ``media.evidence.EmbeddedContent``.

    Attributes:
        kind: description as text.
        offset: start of the content, bytes from the start of the file.
        size: size of the content, bytes.
    """

    kind: str
    offset: Count
    size: Count


class OriginInfo(Struct, frozen=True, kw_only=True):
    """The file from which the evidence was extracted, see ``media.evidence.Origin``.

    Attributes:
        name: name of that file.
        sha256: SHA-256 of that file.
        kind: description of the extracted content, see ``EmbeddedInfo``.
        offset: start of the content in that file, bytes.
        size: size of the content in that file, bytes.
        method: how the evidence was made from the bytes of that file, as text.
    """

    name: str
    sha256: str
    kind: str
    offset: Count
    size: Count
    method: str


class Evidence(Struct, frozen=True, kw_only=True):
    """The file that was analyzed, see ``media.evidence.Evidence``.

    Attributes:
        width: width of the picture after its orientation was applied, pixels; null if the file could not be decoded.
        height: height of that picture, pixels; null if the file could not be decoded.
        duration_s: duration of a video, seconds; null if it is unknown, and for an image.
        frame_rate: frames per second of a video; null if it is unknown, and for an image.
        frame_count: number of frames of a video; null if it is unknown, and for an image.
        notes: remarks on the file and on how its pixels were prepared, one sentence each.
        embedded: content of an image file besides its picture; absent in reports of version 0.4.0.
        origin: the file from which the evidence was extracted; absent if the evidence was not extracted from a file.
    """

    name: str
    sha256: str
    size_bytes: Count
    media_type: str
    format: str | None
    width: int | None
    height: int | None
    duration_s: float | None
    frame_rate: float | None
    frame_count: int | None
    notes: tuple[str, ...]
    embedded: tuple[EmbeddedInfo, ...] | UnsetType = UNSET
    origin: OriginInfo | UnsetType = UNSET


class Propositions(Struct, frozen=True, kw_only=True):
    """The two propositions that a likelihood ratio compares, and the kinds of manipulation that the model knows."""

    manipulated: str
    authentic: str
    kinds: str


class PropositionRatio(Struct, frozen=True, kw_only=True):
    """Likelihood ratio for one sub-proposition of "manipulated", see ``findings.PropositionFinding``.

    Attributes:
        name: ``generated`` (the face was generated entirely) or ``changed`` (a real face was changed).
        model_id: id of the member model that evaluates the sub-proposition.
        log10_lr: bounded log10 of the likelihood ratio against an authentic face.
    """

    name: str
    model_id: str
    log10_lr: float


class FamiliarityInfo(Struct, frozen=True, kw_only=True):
    """Similarity of a face to the known faces that the model was calibrated on, see ``findings.Familiarity``.

    Attributes:
        distance: mean cosine distance to the nearest known faces, 0..2.
        nearest: name of the collection that most of these known faces come from.
    """

    distance: float
    nearest: str


class PooledScore(Struct, frozen=True, kw_only=True):
    """Combined score of several frames of one face, see ``findings.Pooled``.

    Attributes:
        score: calibrated P(manipulated) at even prior odds, 0..1.
        score_interval_95: lower and upper end of the 95 % interval of the score. The interval covers the choice of the
            frames, not the error of the model.
        effective_frames: effective number of independent frames, 1 or more.
        frames: number of frames.
        first_s: time of the first frame, seconds.
        last_s: time of the last frame, seconds.
    """

    score: Share
    score_interval_95: tuple[Share, Share]
    effective_frames: float
    frames: Count
    first_s: float
    last_s: float

    @property
    def has_interval(self) -> bool:
        """Whether the interval has a width; it has none if the evidence counts as none, see ``Fusion.pool_frames``."""
        low, high = self.score_interval_95
        return low < high


class ShownFrame(Struct, frozen=True, kw_only=True):
    """The frame by which a track is shown.

    It is the frame with the highest score, among the frames that the expert analyzed if there are any. If no frame was
    scored, it is the frame with the largest face.

    Attributes:
        index: position of the frame in display order, from 0.
        time_s: time of the frame, seconds since the first frame.
        score: score of this frame, 0..1; null if it was not scored.
    """

    index: Count
    time_s: float
    score: Share | None


class ImageFace(Struct, frozen=True, kw_only=True):
    """A face in an image, see ``findings.FaceFinding``.

    Attributes:
        id: 1 for the first face; faces are numbered from the largest to the smallest.
        box: x0, y0, x1, y1 in pixels of the source.
        crop_box: square that the heatmap covers, x0, y0, x1, y1 in pixels of the source; null if the face was not
            scored.
        size_px: shorter side of the box, pixels of the source.
        roll_deg: clockwise tilt of the face, degrees, -180..180.
        turned_deg: clockwise rotation applied before scoring, degrees, -180..180; 0 if the face was not rotated.
        stretch: width of the face for its height, as a multiple of the natural width, measured and undone before
            scoring; 1 if nothing was restored.
        score: calibrated P(manipulated) at even prior odds, 0..1; null if the face was not scored.
        raw_logit: output of the model before calibration; null if the face was not scored.
        log10_lr: bounded log10 of the likelihood ratio; null if the face was not scored.
        heatmap_peak: greatest contribution of a cell to the logit; null if no heatmap was made. Its name in JSON is
            ``heat_peak``.
        first_s: always null, like ``last_s``; only the faces of a video have times.
        frames_scored: 1 if the face was scored, otherwise 0.
        yaw_deg: estimated turn of the head to a side, degrees, see ``faces.upright.yaw``; null in earlier reports.
        heatmap_in_face: share of the heatmap inside the box of the face, 0..1; null if no heatmap was made, if the
            heatmap is zero everywhere, and in earlier reports.
    """

    id: int
    box: BoxCorners
    crop_box: BoxCorners | None
    detection_confidence: Share
    size_px: float
    roll_deg: float = 0.0
    turned_deg: float = 0.0
    stretch: float = 1.0
    sharpness: float
    outcome: Outcome
    reason: str
    score: Share | None
    raw_logit: float | None
    log10_lr: float | None
    propositions: tuple[PropositionRatio, ...] = ()
    familiarity: FamiliarityInfo | None = None
    heatmap_peak: float | None = field(name="heat_peak")
    first_s: float | None
    last_s: float | None
    frames_scored: Count
    yaw_deg: float | None = None
    heatmap_in_face: Share | None = None


class Track(Struct, frozen=True, kw_only=True):
    """A face in one shot of a video, see ``findings.TrackFinding``.

    ``box``, ``crop_box``, ``detection_confidence``, ``size_px``, ``sharpness``, ``roll_deg`` and ``yaw_deg`` are values
    of the frame ``shown_frame``.

    Attributes:
        id: from 1, in order of first appearance.
        person: number of the person that the track was linked to, from 1.
        shot: number of the shot, from 0.
        box: x0, y0, x1, y1 in pixels of the frame.
        crop_box: square that the heatmap covers, x0, y0, x1, y1 in pixels of the frame; null if no heatmap was made.
        size_px: shorter side of the box, pixels of the frame.
        score: the score that the outcome is based on, of the whole track or of ``segment``, 0..1; null if the track was
            not scored.
        raw_logit: weighted mean of the logits of the scored frames, before calibration; null if the track was not
            scored.
        log10_lr: bounded log10 of the likelihood ratio of ``score``; null if the track was not scored.
        whole: combined score of all scored frames; null if no frame was scored.
        segment: combined score of the part of the track with the strongest evidence of manipulation; null if the track
            was not scored or is too short. Its name in JSON is ``stretch``.
        heatmap_peak: greatest contribution of a cell to the logit; null if no heatmap was made. Its name in JSON is
            ``heat_peak``.
        first_s: time of the first frame in which the face was found, seconds.
        last_s: time of the last frame in which the face was found, seconds.
        frames_found: number of frames in which the face was found.
        frames_scored: number of frames in which the face was scored.
        roll_deg: clockwise tilt of the face, degrees, -180..180; null in earlier reports.
        yaw_deg: estimated turn of the head to a side, degrees, see ``faces.upright.yaw``; null in earlier reports.
    """

    id: int
    person: int
    shot: Count
    box: BoxCorners
    crop_box: BoxCorners | None
    detection_confidence: Share
    size_px: float
    sharpness: float
    outcome: Outcome
    reason: str
    score: Share | None
    raw_logit: float | None
    log10_lr: float | None
    propositions: tuple[PropositionRatio, ...] = ()
    familiarity: FamiliarityInfo | None = None
    whole: PooledScore | None
    segment: PooledScore | None = field(name="stretch")
    shown_frame: ShownFrame
    heatmap_peak: float | None = field(name="heat_peak")
    first_s: float
    last_s: float
    frames_found: Count
    frames_scored: Count
    roll_deg: float | None = None
    yaw_deg: float | None = None


Face = ImageFace | Track


class VideoFacts(Struct, frozen=True, kw_only=True):
    """Facts about a video file, see ``media.frame_source.VideoFacts``.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the video codec.
        pixel_format: FFmpeg's name of the format of the decoded pixels.
        rotation: clockwise turn that was applied to show the picture upright, degrees: 0, 90, 180 or 270.
        start_s: timestamp of the first frame in the container, seconds.
        variable_frame_rate: whether the time between frames varies.
        frame_rate: average frames per second as a fraction, such as "30000/1001"; null if it is unknown.
        audio: FFmpeg's names of the codecs of the audio streams.
    """

    container: str
    codec: str
    pixel_format: str
    rotation: int
    start_s: float
    variable_frame_rate: bool
    frame_rate: str | None
    audio: tuple[str, ...]


class FaceInFrame(Struct, frozen=True, kw_only=True):
    """A face in one frame of a video.

    Attributes:
        id: id of the track that the face belongs to.
        box: x0, y0, x1, y1 in pixels of the frame.
        score: score of this frame only, 0..1; null if the face was not scored here.
        raw_logit: output of the model for this frame before calibration; null if the face was not scored here.
        size_px: shorter side of the box, pixels of the frame.
        problem: why the face was not scored, as a sentence; null if it was scored.
        by_expert: whether the expert analyzed this frame; in the other frames, its log-odds are interpolated.
    """

    id: int
    box: BoxCorners
    score: Share | None
    raw_logit: float | None
    detection_confidence: Share
    size_px: float
    sharpness: float
    problem: str | None
    by_expert: bool = False


class Frame(Struct, frozen=True, kw_only=True):
    """A frame of a video that was analyzed, with or without a face.

    Attributes:
        index: position in display order, from 0.
        time_s: seconds since the first frame.
        shot: number of the shot, from 0.
    """

    index: Count
    time_s: float
    shot: Count
    faces: tuple[FaceInFrame, ...]

    def face(self, track_id: int) -> FaceInFrame | None:
        """Return the face of a track in this frame; None if it was not found."""
        return next((face for face in self.faces if face.id == track_id), None)


class CutInfo(Struct, frozen=True, kw_only=True):
    """A change of scene, see ``media.sampling.Cut``.

    Attributes:
        after_index: index of the last decoded frame of the old shot.
        before_index: index of the first decoded frame of the new shot.
        time_s: time of the frame ``before_index``, seconds.
    """

    after_index: Count
    before_index: Count
    time_s: float


class PersonInfo(Struct, frozen=True, kw_only=True):
    """The tracks that were linked to one person.

    ``outcome``, ``reason``, ``pooled`` and ``agreeing_tracks`` combine the scored tracks, but not tracks whose face is
    too different from all known faces. They are absent in reports of version 0.4.0.

    Attributes:
        id: from 1, in order of first appearance.
        tracks: ids of the tracks.
        similarity: similarity of the least similar pair of tracks that was used for a link, 0..1; 1 for a single track.
            Its name in JSON is ``likeness``.
        outcome: joint outcome, see ``scoring.decision.of_person``.
        reason: reason for the outcome; empty if a single track decides, whose own reason applies, or if no track was
            scored.
        pooled: combined score of the scored frames; null if there are none.
        agreeing_tracks: ids of the tracks that support the verdict; empty if there is no verdict. If only one track was
            scored, it may be listed even without a verdict.
    """

    id: int
    tracks: tuple[int, ...]
    similarity: float = field(name="likeness")
    outcome: Outcome | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    pooled: PooledScore | UnsetType | None = UNSET
    agreeing_tracks: tuple[int, ...] | UnsetType = UNSET


class PersonShots(NamedTuple):
    """A person in a video with the tracks that were linked to this person; derived, not part of the JSON text."""

    person: PersonInfo
    tracks: tuple[Track, ...]

    @property
    def outcome(self) -> Outcome | None:
        """The joint outcome of all shots; None in reports of version 0.4.0, which do not state it."""
        return None if self.person.outcome is UNSET else self.person.outcome

    @property
    def reason(self) -> str:
        """The reason of the outcome, naming the shots that agree; the reason of the track if a single track decided."""
        if self.person.reason:
            return self.person.reason
        return next((track.reason for track in self.tracks if track.outcome is self.outcome), "")

    @property
    def pooled(self) -> PooledScore | None:
        """The pooled score of all shots; None if no frame was scored or the report does not state it."""
        return None if self.person.pooled is UNSET else self.person.pooled

    @property
    def agreeing(self) -> tuple[Track, ...]:
        """The tracks that support the verdict, see ``PersonInfo``; none if the report does not state them."""
        ids = () if self.person.agreeing_tracks is UNSET else self.person.agreeing_tracks
        return tuple(track for track in self.tracks if track.id in ids)


class UnreadFrame(Struct, frozen=True, kw_only=True):
    """A frame that was selected for analysis but could not be decoded.

    Attributes:
        index: position in display order, from 0.
        time_s: seconds since the first frame.
    """

    index: Count
    time_s: float


class ShownAs(Struct, frozen=True, kw_only=True):
    """Conversions that show the file as a viewer does, see ``media.evidence.Shown``; null if there was none.

    Attributes:
        orientation: how the picture was turned or mirrored.
        color: how its colors were converted.
        transfer: how its brightness was converted, if this was separate from the colors.
        pixel_aspect: ratio of width to height of its stored pixels, if they are not square.
    """

    orientation: str | None = None
    color: str | None = None
    transfer: str | None = None
    pixel_aspect: str | None = None


class Gates(Struct, frozen=True, kw_only=True):
    """Minimum values that a face needs to be scored, see ``models.contract.QualityGates``.

    Attributes:
        min_size_px: shorter side of the box, pixels of the source.
        min_sharpness: see ``faces.quality.sharpness``.
        min_confidence: confidence of the detector, 0..1.
        min_color: see ``faces.quality.color_spread``; absent if the model has no such minimum.
    """

    min_size_px: Number
    min_sharpness: Number
    min_confidence: Number
    min_color: Number | UnsetType = UNSET


class SettingsInfo(Struct, frozen=True, kw_only=True):
    """All parameters that affect the numbers in a report.

    Fields without a description here are described in ``config.Settings``. ``frame_memory_s``, ``typical_spread``,
    ``frame_correlation``, ``frame_bias`` and ``track_confidence`` are absent if no video was analyzed.

    Attributes:
        seed: always 0, because nothing uses random numbers.
        effort: amount of computation; null if a model was selected that is not the model of the effort, and in reports
            of version 0.4.0.
        model: id of the model.
        crop_margins: sides of the square crops of a face, divided by the longer side of its box.
        input_size: side of the network's input, pixels.
        frame_memory_s: time after which the correlation between two frames has fallen to 1/e, seconds.
        typical_spread: typical standard deviation of the log-odds of one face within a clip.
        frame_correlation: correlation of the log-odds of two frames of one face, 0..1, see ``models.record.Fusion``;
            absent if the model has no fusion.
        frame_bias: amount by which the log-odds of filmed faces are too high on average, see ``models.record.Fusion``;
            absent if the model has no fusion.
        track_confidence: minimum for the median confidence of the detector over a track; a track below it is not
            scored.
    """

    max_bytes: Count
    max_pixels: Count
    max_decoder_bytes: Count
    max_decoder_s: Number
    detection_long_side: Count
    smallest_sought_px: Count
    detection_confidence: Number
    seed: int = 0
    device: str
    effort: str | None = None
    model: str
    frames: Count
    from_s: Number
    to_s: Number
    crop_margins: tuple[Number, ...]
    input_size: Count
    gates: Gates
    frame_memory_s: Number | UnsetType = UNSET
    typical_spread: Number | UnsetType = UNSET
    frame_correlation: Number | UnsetType = UNSET
    frame_bias: Number | UnsetType = UNSET
    track_confidence: Number | UnsetType = UNSET


class FileClaim(Struct, frozen=True, kw_only=True):
    """A finding on what the file states about itself, see ``forensics.results.Finding``.

    Attributes:
        id: id of the rule, such as ``traces.comfyui``.
        severity: ``info``, ``notice`` or ``warning``.
        text: one sentence.
    """

    id: str
    severity: str
    text: str


class ProvenanceInfo(Struct, frozen=True, kw_only=True):
    """What the file states about its origin. It never changes the score.

    Attributes:
        state: state of the Content Credentials: ``none``, ``trusted``, ``untrusted``, ``tampered``, ``invalid`` or
            ``remote``, see ``media.credentials.Credentials``.
        signer: signer of the Content Credentials; null if there is none.
        generator: generator that the file claims to be made with; null if it claims none.
        claims: findings on the statements of the file.
    """

    state: str
    signer: str | None
    generator: str | None
    claims: tuple[FileClaim, ...]


class FileFact(Struct, frozen=True, kw_only=True):
    """A value that the file states, or that was read from its structure."""

    name: str
    value: str


class FileLens(Struct, frozen=True, kw_only=True):
    """Result of a lens that reads what the file states about itself, see ``forensics.results.LensSummary``.

    Attributes:
        title: title for people.
        does_not_show: what the lens does not show, one sentence.
        problem: why the lens did not run, or not completely; empty if it did.
    """

    id: str
    title: str
    does_not_show: str
    facts: tuple[FileFact, ...]
    problem: str


class Timing(Struct, frozen=True, kw_only=True):
    """Seconds spent on each stage.

    With heatmaps, one pass scores and explains a face of an image, and counts as explaining. The stages of a video
    overlap, so their sum may exceed the total.
    """

    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0
    explain_s: float = 0.0
    total_s: float = 0.0


class Report(Struct, frozen=True, kw_only=True, dict=True):
    """The canonical report: the source of every number that a page, document or command shows.

    Attributes:
        created_utc: ISO 8601, to the second.
        score: calibrated P(manipulated) at even prior odds, 0..1; None if nothing was scored.
        log10_lr: bounded log10 of the likelihood ratio of that score; None if nothing was scored.
        verbal: the likelihood ratio in words; None if nothing was scored.
        decisive_id: id of the face that determined the score of the file; None if nothing was scored.
        segment: the part of a video that was analyzed; None for a whole video, an image or an error.
        scope: the limits of the report, one sentence each.
        faces: the faces of an image, or the tracks of a video.
        video: facts about the video file; None for an image or an error. If it is None, the JSON text does not have the
            fields ``video``, ``frames``, ``cuts``, ``people`` and ``unread_frames``.
        frames: every frame that was analyzed, in ascending order.
        unread_frames: the frames that could not be decoded.
        provenance: claims of the file about its origin; None if they cannot be read, and in reports of version 0.4.0.
        lenses: results of the lenses that read the file's own statements; empty if these cannot be read, and in reports
            of version 0.4.0.
    """

    schema_version: Literal["1"]
    created_utc: str
    tool: Tool
    model: ModelInfo
    evidence: Evidence
    outcome: Outcome
    reason: str
    score: Share | None
    log10_lr: float | None
    verbal: str | None
    decisive_id: int | None = None
    segment: Segment | None = None
    propositions: Propositions
    scope: tuple[str, ...]
    faces: tuple[Face, ...]
    video: VideoFacts | None = None
    frames: tuple[Frame, ...] = ()
    cuts: tuple[CutInfo, ...] = ()
    people: tuple[PersonInfo, ...] = ()
    unread_frames: tuple[UnreadFrame, ...] = ()
    shown: ShownAs = ShownAs()
    settings: SettingsInfo
    timing: Timing
    provenance: ProvenanceInfo | None = None
    lenses: tuple[FileLens, ...] = ()

    @classmethod
    def from_json(cls, content: bytes | str) -> "Report":
        """Read a report.

        Unknown fields are kept: ``unknown`` names them, and ``to_json`` gives the text as it was read.

        Args:
            content: text of a report, UTF-8.

        Raises:
            ReportError: the content is not a report of schema version 1, has a number that is not finite, is nested
                too deeply, or is larger than ``MAX_BYTES``.
        """
        encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        if len(encoded) > MAX_BYTES:
            raise ReportError(f"The report has {len(encoded):,} bytes, and {MAX_BYTES:,} are read at most.")
        try:
            header = msgspec.json.decode(encoded, type=_Header)
            if header.schema_version != SCHEMA_VERSION:
                raise ReportError(
                    f"The report has the schema version {header.schema_version[:40]!r}, and this release reads "
                    f"{SCHEMA_VERSION!r}; read it with the release that made it."
                )
            form = ImageReport if header.frames is UNSET else VideoReport
            decoded = msgspec.json.decode(encoded, type=form)
        except RecursionError:
            raise ReportError("The report is nested too deeply to be read.") from None
        except msgspec.MsgspecError as problem:
            raise ReportError(f"This is not a report of schema version {SCHEMA_VERSION}: {problem}.") from problem
        report = cls(**{name: getattr(decoded, name) for name in cls.__struct_fields__})
        if header.decisive_id is UNSET:
            report = _completed(report)
        report.__dict__[_TEXT] = encoded.decode()
        return report

    def to_json(self) -> str:
        """Return the indented text of the report, without a final line break; a report that was read keeps its text.

        Raises:
            ValueError: a number in the report is not finite.
        """
        text: str | None = self.__dict__.get(_TEXT)
        if text is not None:
            return text
        return json_text(self.to_builtins())

    def to_builtins(self) -> dict[str, Any]:
        """Return the known fields as JSON values, as in the text of the report."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        if self.video is None:
            for name in _OF_VIDEOS:
                del values[name]
        return values

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Paths of the fields that this release does not know, such as ``faces[].color``, each listed once."""
        text: str | None = self.__dict__.get(_TEXT)
        if text is None:
            return ()
        return tuple(dict.fromkeys(_unknown(json.loads(text), _form(is_video=self.video is not None), "")))

    @property
    def decisive(self) -> Face | None:
        """The face or track that determined the score of the file; None if nothing was scored."""
        return next((face for face in self.faces if face.id == self.decisive_id), None)

    @property
    def image_faces(self) -> tuple[ImageFace, ...]:
        """The faces of an image; none for a video."""
        return tuple(face for face in self.faces if isinstance(face, ImageFace))

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of a video; none for an image."""
        return tuple(face for face in self.faces if isinstance(face, Track))

    @property
    def people_with_shots(self) -> tuple[PersonShots, ...]:
        """The people of a video, beginning with the person of the decisive track; none for an image."""
        tracks = {track.id: track for track in self.tracks}
        people = [
            PersonShots(person, tuple(tracks[number] for number in person.tracks if number in tracks))
            for person in self.people
        ]
        return tuple(sorted(people, key=lambda shots: self.decisive_id not in shots.person.tracks))

    @property
    def is_video(self) -> bool:
        """Whether frames of a video were analyzed."""
        return self.video is not None


class ImageReport(Report, frozen=True, kw_only=True):
    """The report of an image, or of a file that could not be analyzed.

    Attributes:
        created_utc: ISO 8601, to the second.
        score: calibrated P(manipulated) at even prior odds, 0..1; null if nothing was scored.
        log10_lr: bounded log10 of the likelihood ratio of that score; null if nothing was scored.
        verbal: the likelihood ratio in words; null if nothing was scored.
        decisive_id: id of the face that determined the score of the file; null if nothing was scored.
        segment: always null; only the report of a video can have a segment.
        scope: the limits of the report, one sentence each.
        provenance: claims of the file about its origin; null if they cannot be read, and in reports of version 0.4.0.
        lenses: results of the lenses that read the file's own statements; empty if these cannot be read, and in reports
            of version 0.4.0.
    """

    faces: tuple[ImageFace, ...]


class VideoReport(Report, frozen=True, kw_only=True):
    """The report of a video. Fields without a description here have the same meaning as in ``ImageReport``.

    Attributes:
        decisive_id: id of the track that determined the score of the file; null if nothing was scored.
        segment: the part of the video that was analyzed; null for the whole video.
        faces: the tracks.
        frames: every frame that was analyzed, in ascending order.
        unread_frames: the frames that were selected but could not be decoded.
    """

    faces: tuple[Track, ...]
    video: VideoFacts
    frames: tuple[Frame, ...]


class _Header(Struct):
    """The fields that decide how the rest is read."""

    schema_version: str
    frames: msgspec.Raw | UnsetType = UNSET
    decisive_id: msgspec.Raw | UnsetType = UNSET


_TEXT = "_text"  # key in ``__dict__`` for the text of a report that was read
_OF_VIDEOS = ("video", "frames", "cuts", "people", "unread_frames")


def json_text(values: object) -> str:
    """Return JSON values as indented text.

    Raises:
        ValueError: a number in the values is not finite.
    """
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)


def decisive_id(faces: tuple[Face, ...], score: float | None, outcome: Outcome) -> int | None:
    """Return the id of the decisive face, for reports that do not state it.

    This is the face with the score of the file and, if several have that score, with its outcome. Return None if
    nothing was scored.
    """
    if score is None:
        return None
    candidates = [face for face in faces if face.score == score]
    return max(candidates, key=lambda face: face.outcome == outcome).id if candidates else None


def _completed(report: Report) -> Report:
    """Derive the fields that reports of version 0.4.0 do not state from the fields that they state."""
    segment, settings = None, report.settings
    if report.frames:
        last_s = report.frames[-1].time_s
        segment = Segment.from_settings(
            settings.from_s, settings.to_s, duration_s=report.evidence.duration_s, last_s=last_s
        )
    decided = decisive_id(report.faces, report.score, report.outcome)
    return msgspec.structs.replace(report, decisive_id=decided, segment=segment)


@cache
def _form(*, is_video: bool) -> inspect.Type:
    """Return the type of a report; cached, because building it takes milliseconds."""
    return inspect.type_info(VideoReport if is_video else ImageReport)


def _unknown(value: object, form: inspect.Type, path: str) -> Iterator[str]:
    """Yield the paths of the fields of a JSON value that its type does not have."""
    if isinstance(form, inspect.UnionType):
        for member in form.types:
            yield from _unknown(value, member, path)
    elif isinstance(form, inspect.VarTupleType) and isinstance(value, list):
        for entry in value:
            yield from _unknown(entry, form.item_type, f"{path}[]")
    elif isinstance(form, inspect.StructType) and isinstance(value, dict):
        types = {item.encode_name: item.type for item in form.fields}
        for name, entry in value.items():
            at = f"{path}.{name}" if path else name
            if name in types:
                yield from _unknown(entry, types[name], at)
            else:
                yield at
