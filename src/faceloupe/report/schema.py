"""The report of schema version "1" as types: what every part reads, writes and checks it by.

The structs stand in the order of the JSON text, and a field has the name that it has there, except where ``name`` says
otherwise. Fields that came after version 0.4.0 have a default, so that reports of that version are still read.
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
MAX_BYTES = 256 * 1024 * 1024  # of a report that is read; a video with 10,000 frames and ten faces in each has a third

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Number = int | float  # kept as it was written, so that it is shown as it was set
BoxCorners = tuple[float, float, float, float]


class Tool(Struct, frozen=True, kw_only=True):
    """The installation that made a report.

    Attributes:
        git_commit: of the checkout; None outside one.
        modified: whether tracked files differed from that commit; None outside a checkout.
        libraries: name -> version.
    """

    name: str
    version: str
    git_commit: str | None
    modified: bool | None = None
    libraries: dict[str, str]


class Component(Struct, frozen=True, kw_only=True):
    """One of the networks that scored."""

    id: str
    weights_sha256: str


class CalibratorInfo(Struct, frozen=True, kw_only=True):
    """The calibrator of a model, see ``scoring.calibration.Calibrator``."""

    id: str
    kind: str
    slope: float
    intercept: float
    knots: tuple[tuple[float, float], ...]
    fitted_on: str


class Bounds(Struct, frozen=True, kw_only=True):
    """The least and the greatest log10 LR that the validation data support."""

    lower: float
    upper: float


class ScoreThresholds(Struct, frozen=True, kw_only=True):
    """Scores at or below ``lower`` are authentic, at or above ``upper`` manipulated; 0..1."""

    lower: Share
    upper: Share


class RateIntervals(Struct, frozen=True, kw_only=True):
    """The 95 % intervals of the two error rates: low and high, 0..1."""

    fpr: tuple[Share, Share]
    fnr: tuple[Share, Share]


class ErrorRatesInfo(Struct, frozen=True, kw_only=True):
    """Errors of a model at its thresholds, of single faces.

    Attributes:
        fpr: share of authentic faces called manipulated, 0..1.
        fnr: share of manipulated faces called authentic, 0..1.
        n_real: authentic faces behind them.
        n_fake: manipulated faces behind them.
        inconclusive: share of all faces that fell between the thresholds.
        measured_on: which faces those were.
    """

    fpr: Share
    fnr: Share
    n_real: Count
    n_fake: Count
    interval_95: RateIntervals
    inconclusive: Share
    measured_on: str


class ModelInfo(Struct, frozen=True, kw_only=True):
    """The model that scored, as its record states it.

    Attributes:
        components: the networks that it is made of; none in reports of version 0.4.0.
        members: ids of the models that it averages or weighs.
        record_sha256: hash of the whole record.
        explanation_max: upper end of the heatmaps' color scale, logits per cell.
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
    """Content besides the picture of a file, see ``types.EmbeddedContent``."""

    kind: str
    offset: Count
    size: Count


class OriginInfo(Struct, frozen=True, kw_only=True):
    """The file that the evidence was taken out of, see ``types.Origin``."""

    name: str
    sha256: str
    kind: str
    offset: Count
    size: Count
    method: str


class Evidence(Struct, frozen=True, kw_only=True):
    """The file that was analyzed, see ``types.Evidence``.

    Attributes:
        origin: not stated for a file that was given as such.
        notes: what was done to the stored pixels before they were examined, one sentence each.
        embedded: what an image file holds besides its picture; not stated by reports of version 0.4.0.
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
    """What a likelihood ratio weighs against each other, and the kinds of manipulation that the model knows."""

    manipulated: str
    authentic: str
    kinds: str


class PropositionRatio(Struct, frozen=True, kw_only=True):
    """What the model says of a part of "manipulated", see ``types.PropositionFinding``."""

    name: str
    model_id: str
    log10_lr: float


class FamiliarityInfo(Struct, frozen=True, kw_only=True):
    """How a face lies among the known ones, see ``types.Familiarity``."""

    distance: float
    nearest: str


class PooledScore(Struct, frozen=True, kw_only=True):
    """What several frames of one track say together, see ``types.Pooled``."""

    score: Share
    score_interval_95: tuple[Share, Share]
    effective_frames: float
    frames: Count
    first_s: float
    last_s: float


class ShownFrame(Struct, frozen=True, kw_only=True):
    """The frame that a track is shown by: the one with its highest score, or its largest where none was scored."""

    index: Count
    time_s: float
    score: Share | None


class ImageFace(Struct, frozen=True, kw_only=True):
    """A face of an image, see ``types.FaceFinding``.

    Attributes:
        id: from 1, from the largest face to the smallest.
        box: x0, y0, x1, y1 in pixels of the source.
        crop_box: of what the heatmap covers, likewise; None where the face was not scored.
        heatmap_peak: greatest contribution of a cell, logits; None where no heatmap was made.
        heatmap_in_face: share of the heatmap inside the box of the face, 0..1; None likewise, and in earlier reports.
        yaw_deg: estimated turn to a side, degrees, see ``faces.upright.yaw``; None in earlier reports.
        first_s: None, as is ``last_s``.
        frames_scored: 1 where the face was scored, else 0.
    """

    id: int
    box: BoxCorners
    crop_box: BoxCorners | None
    detection_confidence: Share
    size_px: float
    roll_deg: float = 0.0
    turned_deg: float = 0.0
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
    """A face track of a video, see ``types.TrackFinding``; the box and what goes with it are of ``shown_frame``.

    Attributes:
        id: from 1, in order of first appearance.
        person: number of the person that it was linked to, from 1.
        shot: number of the shot, from 0.
        box: x0, y0, x1, y1 in pixels of the frame.
        whole: what its scored frames say together; None where none was scored.
        segment: the part of it that speaks loudest for manipulation; None where it is too short to have parts.
        heatmap_peak: see ``ImageFace``.
        first_s: time of the first frame in which the face was found, seconds; ``last_s`` likewise.
        frames_found: in how many frames the face was found.
        frames_scored: in how many of these it was scored.
        roll_deg: clockwise tilt in the shown frame, degrees; None in earlier reports.
        yaw_deg: estimated turn to a side there, degrees, see ``faces.upright.yaw``; likewise.
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
    """What the container of a video states, see ``media.video.VideoFacts``.

    Attributes:
        frame_rate: frames per second as a fraction, such as "30000/1001"; None where it is not known.
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
        id: of its track.
        score: of this frame alone, 0..1; None where it was not scored.
        problem: why it was not scored; None where it was.
        by_expert: whether the expert looked at this frame; its word on the frames between is interpolated.
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
        index: in order of display, from 0.
        time_s: seconds since the first frame.
        shot: number of the shot, from 0.
    """

    index: Count
    time_s: float
    shot: Count
    faces: tuple[FaceInFrame, ...]

    def face(self, track_id: int) -> FaceInFrame | None:
        """Return the face of a track in this frame; None where it was not found."""
        return next((face for face in self.faces if face.id == track_id), None)


class CutInfo(Struct, frozen=True, kw_only=True):
    """A change of scene between two frames, see ``media.sampling.Cut``."""

    after_index: Count
    before_index: Count
    time_s: float


class PersonInfo(Struct, frozen=True, kw_only=True):
    """Tracks that were linked to one person.

    Attributes:
        similarity: of the least similar link, -1..1; 1 for a single track.
        outcome: see ``scoring.decision.of_person``; this and what follows is not stated by reports of version 0.4.0.
        reason: of the outcome; empty where a single track was scored, which speaks for itself.
        pooled: what the scored frames of all tracks say together; None where none was scored.
        agreeing_tracks: ids of the tracks that the outcome rests on; empty where there is no verdict.
    """

    id: int
    tracks: tuple[int, ...]
    similarity: float = field(name="likeness")
    outcome: Outcome | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    pooled: PooledScore | UnsetType | None = UNSET
    agreeing_tracks: tuple[int, ...] | UnsetType = UNSET


class PersonShots(NamedTuple):
    """A person of a video with the tracks that were linked to it, one for each shot; derived, not in the text."""

    person: PersonInfo
    tracks: tuple[Track, ...]

    @property
    def outcome(self) -> Outcome | None:
        """What the shots say together; None in reports of version 0.4.0, which do not state it."""
        return None if self.person.outcome is UNSET else self.person.outcome

    @property
    def reason(self) -> str:
        """Of the outcome, naming the shots that agree; that of the track where a single one decided."""
        if self.person.reason:
            return self.person.reason
        return next((track.reason for track in self.tracks if track.outcome is self.outcome), "")

    @property
    def pooled(self) -> PooledScore | None:
        """What the scored frames of all shots say together; None where none was scored or this is not stated."""
        return None if self.person.pooled is UNSET else self.person.pooled

    @property
    def agreeing(self) -> tuple[Track, ...]:
        """The shots that the outcome rests on; none where there is no verdict or this is not stated."""
        ids = () if self.person.agreeing_tracks is UNSET else self.person.agreeing_tracks
        return tuple(track for track in self.tracks if track.id in ids)


class UnreadFrame(Struct, frozen=True, kw_only=True):
    """A frame that should have been analyzed, but could not be decoded."""

    index: Count
    time_s: float


class ShownAs(Struct, frozen=True, kw_only=True):
    """What was done to show a file as a viewer would, see ``types.Shown``."""

    orientation: str | None = None
    color: str | None = None
    transfer: str | None = None
    pixel_aspect: str | None = None


class Gates(Struct, frozen=True, kw_only=True):
    """Least values that a face needed to be scored, see ``faces.quality.QualityGates``."""

    min_size_px: Number
    min_sharpness: Number
    min_confidence: Number
    min_color: Number | UnsetType = UNSET


class SettingsInfo(Struct, frozen=True, kw_only=True):
    """Every parameter that changes the numbers, see ``config.Settings``.

    Attributes:
        effort: None where a model was named for itself, and in reports of version 0.4.0.
        crop_margins: sides of the crops of a face, divided by the longer side of its box.
        input_size: side of the network's input, pixels.
        frame_memory_s: of the aggregation over frames, see ``scoring.aggregation``; of videos only, as the next four.
        frame_correlation: see ``models.record.Fusion``, also of the next; absent where frames are averaged alone.
        track_confidence: of the face detector, for faces that continue a track.
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
    """A finding on what the file states about itself, see ``forensics.results.Finding``."""

    id: str
    severity: str
    text: str


class ProvenanceInfo(Struct, frozen=True, kw_only=True):
    """What the file states about its origin. It never changes the score.

    Attributes:
        state: of its Content Credentials, see ``media.credentials.Credentials``.
        signer: of these; None where nobody signed.
        generator: that the file claims to be made with; None where it claims none.
        claims: findings on what it states.
    """

    state: str
    signer: str | None
    generator: str | None
    claims: tuple[FileClaim, ...]


class FileFact(Struct, frozen=True, kw_only=True):
    """One thing that the file states, or that was read from its structure."""

    name: str
    value: str


class FileLens(Struct, frozen=True, kw_only=True):
    """What a lens read of the file, see ``forensics.results.LensSummary``."""

    id: str
    title: str
    does_not_show: str
    facts: tuple[FileFact, ...]
    problem: str


class Timing(Struct, frozen=True, kw_only=True):
    """Seconds spent.

    Where heatmaps are made, one pass scores and explains a face of an image, and counts as explaining. The stages of a
    video overlap, so that their sum may exceed the total.
    """

    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0
    explain_s: float = 0.0
    total_s: float = 0.0


class Report(Struct, frozen=True, kw_only=True, dict=True):
    """The canonical report: no surface shows a number that is not in it.

    Attributes:
        created_utc: ISO 8601, to the second.
        score: calibrated P(manipulated) at even prior odds, 0..1; None where nothing was scored.
        log10_lr: bounded log10 of the likelihood ratio of that score; None likewise.
        verbal: that ratio in words; None likewise.
        decisive_id: id of the face whose score is the file's; None likewise.
        segment: the part of a video that was analyzed; None for a whole video, an image and an error.
        scope: what the report does not say, one sentence each.
        faces: of an image, or the tracks of a video.
        video: facts of the container; None for an image and an error. Where it is None, the text of the report has
            neither it nor the next four.
        frames: every frame that was analyzed, rising.
        unread_frames: those that could not be decoded.
        provenance: what the file states about its origin; None where that cannot be read, and in reports of 0.4.0.
        lenses: what was read of the file itself; none likewise.
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
            ReportError: it is not a report of schema version 1, has a number that is not finite, is nested too deeply,
                or is larger than ``MAX_BYTES``.
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
            ValueError: a number in it is not finite.
        """
        text: str | None = self.__dict__.get(_TEXT)
        if text is not None:
            return text
        return json_text(self.to_builtins())

    def to_builtins(self) -> dict[str, Any]:
        """Return the values of the known fields as JSON, as they stand in the text."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        if self.video is None:
            for name in _OF_VIDEOS:
                del values[name]
        return values

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Names of the fields that this release does not know, such as ``faces[].color``, each once."""
        text: str | None = self.__dict__.get(_TEXT)
        if text is None:
            return ()
        return tuple(dict.fromkeys(_unknown(json.loads(text), _form(is_video=self.video is not None), "")))

    @property
    def decisive(self) -> Face | None:
        """The face or the track whose score is the file's; None where nothing was scored."""
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
        """The people of a video, the one of the decisive track first; none for an image."""
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
    """The form of a report of an image, or of a file that could not be analyzed, for reading and for the schema."""

    faces: tuple[ImageFace, ...]


class VideoReport(Report, frozen=True, kw_only=True):
    """The form of a report of a video, likewise."""

    faces: tuple[Track, ...]
    video: VideoFacts
    frames: tuple[Frame, ...]


class _Header(Struct):
    """What decides how the rest is read."""

    schema_version: str
    frames: msgspec.Raw | UnsetType = UNSET
    decisive_id: msgspec.Raw | UnsetType = UNSET


_TEXT = "_text"  # where a report that was read keeps its text
_OF_VIDEOS = ("video", "frames", "cuts", "people", "unread_frames")


def json_text(values: object) -> str:
    """Return the text of JSON values: indented, never NaN.

    Raises:
        ValueError: a number in it is not finite.
    """
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)


def decisive_id(faces: tuple[Face, ...], score: float | None, outcome: Outcome) -> int | None:
    """Id of the face that decided, for reports that do not state it: the one with the score and outcome of the file."""
    if score is None:
        return None
    candidates = [face for face in faces if face.score == score]
    return max(candidates, key=lambda face: face.outcome == outcome).id if candidates else None


def _completed(report: Report) -> Report:
    """Return a report with the fields that those of version 0.4.0 do not state, from those that they do."""
    segment, settings = None, report.settings
    if report.frames:
        last_s = report.frames[-1].time_s
        segment = Segment.asked_for(
            settings.from_s, settings.to_s, duration_s=report.evidence.duration_s, last_s=last_s
        )
    decided = decisive_id(report.faces, report.score, report.outcome)
    return msgspec.structs.replace(report, decisive_id=decided, segment=segment)


@cache
def _form(*, is_video: bool) -> inspect.Type:
    """Return the type of a report, which takes milliseconds to put together."""
    return inspect.type_info(VideoReport if is_video else ImageReport)


def _unknown(value: object, form: inspect.Type, path: str) -> Iterator[str]:
    """Paths of the fields of a JSON value that its type does not have."""
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
