"""Analysis of a video: frames are sampled, faces followed into tracks, and each track pooled into one finding."""

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from faceloupe.analysis.networks import Candidate, Networks, RunContext, candidate
from faceloupe.analysis.prefetch import ahead
from faceloupe.analysis.results import Analysis, Timing, VideoAnalysis
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.faces.outline import BorderlessPicture
from faceloupe.faces.quality import low_confidence_reason
from faceloupe.faces.tracks import Person, Track, Tracker, link
from faceloupe.faces.upright import AnyAngleVideoDetector
from faceloupe.findings import FaceObservation, PersonFinding, Pooled, TrackFinding
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sampling import Sample, Sampler
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.models.contract import QualityGates
from faceloupe.models.record import ModelRecord
from faceloupe.scoring.aggregation import pool, series, strongest_segment
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import FaceScorer, SlowReadings
from faceloupe.scoring.decision import (
    FEWEST_FRAMES,
    UNSCORED,
    adjust_for_person,
    in_scope,
    kind_suffix,
    of_person,
    of_track,
    of_video,
    withhold_if_flawed,
)
from faceloupe.types import DetectedFace, FrameStage, Outcome, Segment

_BATCH_FRAMES, _BATCH_BYTES = 8, 64 * 1024 * 1024  # most frames, and most bytes of frames, in one batch
_BATCHES_AHEAD = 1  # batches that a stage may be ahead of the next stage
_THUMB_SIDE = 64  # pixels


def examine(
    evidence_file: EvidenceFile, networks: Networks, *, settings: Settings, explain: bool, context: RunContext
) -> Analysis:
    """Analyze a video.

    Raises:
        EvidenceError: no selected frame can be decoded, or the file changed during the analysis.
        UsageError: the video does not contain the segment that the settings ask for.
        Cancelled: the caller cancelled the analysis.
    """
    context.step("Reading the container", 0.1)
    with evidence_file.open() as stream:
        with IsolatedVideo(evidence_file, stream, settings=settings, check=context.check) as video:
            facts = video.facts
            sampler = Sampler(video, frames=settings.frames, from_s=settings.from_s, to_s=settings.to_s)
            followed = _follow(sampler, networks, context)
            unread = {index: float(video.time(index)) for index in video.unreadable}
            notes = [*facts.notes, *_losses(unread, video.damaged_packets)]
        evidence_file.check_unchanged(stream)
    if not followed.frames:
        raise EvidenceError("None of the selected frames can be decoded; get a complete copy.")
    notes += _preparation_notes(followed)
    if blips := followed.settle(networks.scorer.record.gates):
        notes.append(f"{blips} uncertain face candidates that occurred in a single frame were left out.")
    people = link(followed.tracks, check=context.check)
    explain_s, began = 0.0, context.now()
    findings = []
    for number, track in enumerate(followed.tracks):
        context.step(f"Scoring face {number + 1} of {len(followed.tracks)}", 0.9)
        findings.append(_finding(track, people, followed, networks.scorer, context))
    persons = [_person(person, findings, networks.scorer, enough=_enough(followed)) for person in people]
    findings = _adjusted_for_persons(findings, persons, networks.scorer)
    findings = [withhold_if_flawed(track, unshown=facts.unshown) for track in findings]
    if facts.unshown:
        persons = [replace(withhold_if_flawed(person, unshown=facts.unshown), agreeing=()) for person in persons]
    followed.score_s += context.now() - began
    context.lap()
    if explain:
        findings = _explained(findings, followed, networks.scorer, context)
        explain_s = context.lap()
    outcome, reason, decisive = of_video(
        findings,
        smallest_px=networks.detector.min_detectable_px_in_video(facts.width, facts.height),
        frames=len(followed.frames),
        unread=len(unread),
    )
    last_s = max(time_s for time_s, _ in followed.frames.values())
    part = Segment.from_settings(settings.from_s, settings.to_s, duration_s=facts.duration_s, last_s=last_s)
    if part:
        reason += f"; only {part.start_s:.2f} s to {part.end_s:.2f} s of the video were analyzed"
    evidence = replace(
        evidence_file.evidence,
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        frame_rate=None if facts.frame_rate is None else float(facts.frame_rate),
        frame_count=facts.frame_count,
    )
    return Analysis(
        evidence,
        networks.scorer.record,
        networks.scorer.components,
        settings,
        outcome,
        reason,
        Timing(followed.decode_s, followed.detect_s, followed.score_s, explain_s, context.total),
        decisive=decisive,
        notes=notes,
        shown=facts.shown,
        tracks=tuple(findings),
        video=VideoAnalysis(facts, followed.frames, sampler.cuts, people, unread, part, persons),
    )


def _losses(unread: dict[int, float], damaged: int) -> list[str]:
    if unread:
        count = "1 frame" if len(unread) == 1 else f"{len(unread)} frames"
        when = f"between {min(unread.values()):.2f} s and {max(unread.values()):.2f} s"
        return [f"{count} selected for analysis, {when}, could not be decoded."]
    if damaged:
        return [f"The video is damaged in {damaged} places; all selected frames could be decoded."]
    return []


def _preparation_notes(followed: "_Followed") -> list[str]:
    """Return notes on how many frames had a border left out, and how many had a face turned upright."""
    whole, notes = len(followed.frames), []
    if followed.frames_with_border:
        notes.append(
            f"In {followed.frames_with_border} of {whole} frames the picture lies on a ground of one color, such as "
            "bars; the ground was left out."
        )
    if followed.frames_with_turned_face:
        notes.append(
            f"In {len(followed.frames_with_turned_face)} of {whole} frames a face is tilted; it was turned upright "
            "before scoring."
        )
    return notes


@dataclass(slots=True)
class _Followed:
    """Everything that one pass over the video collects; pixels are kept only of the best frames of each track.

    Attributes:
        tracker: joins the faces of successive frames into tracks.
        frames: frame index -> time and shot of each analyzed frame.
        observations: track id -> its observations, in order of time.
        best: track id -> its highest logit so far, and the cut-out face that has it.
        informative_by_part: track id -> part of the video -> value, frame index and cut-out face of the most
            informative frame in this part. Only filled for fusions, whose slow members see only these frames.
        frames_with_border: number of frames in which the picture has a single-color ground around it.
        frames_with_turned_face: indices of the frames with a face that was turned upright.
        decode_s: seconds spent on decoding.
        detect_s: seconds spent on finding faces.
        score_s: seconds spent on tracking and scoring.
    """

    tracker: Tracker = field(default_factory=Tracker)
    frames: dict[int, tuple[float, int]] = field(default_factory=dict)
    observations: dict[int, list[FaceObservation]] = field(default_factory=lambda: defaultdict(list))
    best: dict[int, tuple[float, Candidate]] = field(default_factory=dict)
    informative_by_part: dict[int, dict[int, tuple[float, int, Candidate]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    frames_with_border: int = 0
    frames_with_turned_face: set[int] = field(default_factory=set)
    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0

    @property
    def tracks(self) -> list[Track]:
        return self.tracker.tracks

    def settle(self, gates: QualityGates) -> int:
        """Drop uncertain tracks of a single frame, renumber the rest from 1, and return how many were dropped."""
        remaining = [
            track for track in self.tracks if len(track.faces) > 1 or track.faces[0].confidence >= gates.min_confidence
        ]
        left_out = len(self.tracks) - len(remaining)
        self.observations = {number: self.observations[track.id] for number, track in enumerate(remaining, 1)}
        self.best = {number: self.best[track.id] for number, track in enumerate(remaining, 1) if track.id in self.best}
        self.informative_by_part = {
            n: self.informative_by_part[track.id]
            for n, track in enumerate(remaining, 1)
            if track.id in self.informative_by_part
        }
        for number, track in enumerate(remaining, 1):
            track.id = number
        self.tracker.tracks = remaining
        return left_out


def _follow(sampler: Sampler, networks: Networks, context: RunContext) -> _Followed:
    """Run three stages, each in its own thread: decode the frames, find the faces, and track and score them."""
    followed = _Followed()
    detected = _detected(ahead(_batches(sampler, followed, context), _BATCHES_AHEAD), followed, networks, context)
    with closing(ahead(detected, _BATCHES_AHEAD)) as batches:
        for batch in batches:
            done = len(followed.frames)
            whole = max(len(sampler.planned), done)  # the sampler adds frames for some shots
            context.step(FrameStage(done, whole), 0.1 + 0.8 * done / whole)
            if batch:
                began = context.now()
                _score(batch, followed, networks, whole)
                followed.score_s += context.now() - began
    return followed


@dataclass(frozen=True, slots=True)
class _Searched:
    """A frame, its picture without the single-color ground, and the faces in pixels of this picture."""

    sample: Sample
    picture: BorderlessPicture
    faces: list[DetectedFace]


def _batches(sampler: Sampler, followed: _Followed, context: RunContext) -> Generator[list[Sample]]:
    """Yield the selected frames in batches; the larger the frames, the smaller the batches."""
    batch, began = [], context.now()
    for sample in sampler.samples():
        batch.append(sample)
        if len(batch) >= min(_BATCH_FRAMES, max(1, _BATCH_BYTES // sample.rgb.nbytes)):
            followed.decode_s += context.now() - began
            yield batch
            batch, began = [], context.now()
    followed.decode_s += context.now() - began
    if batch:
        yield batch


def _detected(
    batches: Generator[list[Sample] | None], followed: _Followed, networks: Networks, context: RunContext
) -> Generator[list[_Searched]]:
    """Yield the batches with the faces of each frame."""
    shot, video_detector = None, AnyAngleVideoDetector(networks.detector)
    with closing(batches):
        for batch in batches:
            if batch is None:
                context.check()
                continue
            began = context.now()
            shots = [shot, *(sample.shot for sample in batch)]
            fresh = [number == 0 or shots[number] != shots[number + 1] for number in range(len(batch))]
            searched = []
            for sample, is_fresh in zip(batch, fresh, strict=True):
                picture = BorderlessPicture.find_in(sample.rgb)
                searched.append(_Searched(sample, picture, video_detector.detect(picture.rgb, fresh=is_fresh)))
            followed.detect_s += context.now() - began
            shot = batch[-1].shot
            yield searched


def _score(batch: list[_Searched], followed: _Followed, networks: Networks, whole: int) -> None:
    """Track and score the faces of successive frames; ``whole`` is the approximate number of frames in total."""
    scorer = networks.scorer
    parts = scorer.record.fusion.frames if scorer.record.fusion else 0
    pending: list[tuple[int, Sample, Candidate]] = []
    part_of: dict[int, int] = {}  # frame index -> part of the video, each of which gives one informative frame
    for searched in batch:
        sample, picture = searched.sample, searched.picture
        part_of[sample.index] = min(len(followed.frames) * parts // max(whole, 1), parts - 1) if parts else 0
        followed.frames[sample.index] = (sample.time_s, sample.shot)
        followed.frames_with_border += picture.has_ground
        cut_out = [candidate(face, picture, scorer) for face in searched.faces]
        followed.frames_with_turned_face |= {sample.index for each in cut_out if each.turned_deg}
        owners = followed.tracker.add(sample.rgb, [each.face for each in cut_out], sample.shot)
        pending += [(owner, sample, each) for owner, each in zip(owners, cut_out, strict=True)]
    fit = [pending_face.views for _, _, pending_face in pending if not pending_face.quality.problem]
    logits = iter(scorer.frame_logits(fit) if fit else ())
    for owner, sample, pending_face in pending:
        logit = None if pending_face.quality.problem else float(next(logits))
        score = None if logit is None else scorer.probability(logit)
        thumb = _thumb(pending_face.views.measured)
        followed.observations[owner].append(
            FaceObservation(sample.index, sample.time_s, pending_face.face, pending_face.quality, logit, score, thumb)
        )
        if logit is None:
            continue
        if parts:
            known, part = followed.informative_by_part[owner], part_of[sample.index]
            value = pending_face.face.size_px * pending_face.face.confidence * pending_face.quality.sharpness**0.5
            if part not in known or value > known[part][0]:
                known[part] = (value, sample.index, pending_face)
        elif owner not in followed.best or logit > followed.best[owner][0]:
            followed.best[owner] = (logit, pending_face)


def _thumb(crop: np.ndarray) -> bytes:
    small = cv2.resize(crop, (_THUMB_SIDE, _THUMB_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()


def _rescore_with_expert(
    track: Track, followed: _Followed, scorer: FaceScorer, context: RunContext
) -> SlowReadings | None:
    """Let the expert analyze the most informative frames of a track, and rescore all observations with its log-odds.

    Between these frames the expert's log-odds are interpolated in time. Before the first and after the last of them,
    the nearest value is used. Return None if the track has no such frame.
    """
    informative = sorted(followed.informative_by_part.get(track.id, {}).values(), key=lambda entry: entry[1])
    if not informative:
        return None
    at = {observation.frame: number for number, observation in enumerate(followed.observations[track.id])}
    slow_readings = scorer.read_slow_members([cut_out.views for _, _, cut_out in informative], check=context.check)
    observations = followed.observations[track.id]
    times = [observations[at[index]].time_s for _, index, _ in informative]
    asked = {index for _, index, _ in informative}
    for number, observation in enumerate(observations):
        if observation.raw_logit is not None:
            logit = scorer.frame_logit(observation.raw_logit, slow_readings.at(times, observation.time_s))
            observations[number] = replace(
                observation, raw_logit=logit, score=scorer.probability(logit), by_expert=observation.frame in asked
            )
    logits = {each.frame: each.raw_logit for each in observations if each.raw_logit is not None}
    _, index, cut_out = max(informative, key=lambda choice: logits[choice[1]])
    followed.best[track.id] = (logits[index], cut_out)
    return slow_readings


def _finding(
    track: Track, people: Sequence[Person], followed: _Followed, scorer: FaceScorer, context: RunContext
) -> TrackFinding:
    sure = not low_confidence_reason([observation.face.confidence for observation in followed.observations[track.id]])
    slow_readings = _rescore_with_expert(track, followed, scorer, context) if sure else None
    observations, record = tuple(followed.observations[track.id]), scorer.record
    person = next(person.id for person in people if track.id in person.tracks)
    if problem := low_confidence_reason([observation.face.confidence for observation in observations]):
        observations = tuple(_unscored(observation, problem) for observation in observations)
    scored = [observation for observation in observations if observation.score is not None]
    if not scored:
        why = problem or max(observations, key=lambda observation: observation.face.size_px).quality.problem
        return TrackFinding(track.id, person, track.shot, observations, Outcome.NOT_APPLICABLE, f"{UNSCORED}{why}")
    times, log_odds, weights = series(scored, record.calibrator)
    whole = pool(times, log_odds, weights, record.pool_frames)
    # Between the frames that the expert analyzed, its values are only interpolated. So the segment is sought among the
    # analyzed frames.
    looked_at = [observation for observation in scored if observation.by_expert] or scored
    segment = strongest_segment(*series(looked_at, record.calibrator), record.pool_frames)
    outcome, reason, decided = of_track(whole, segment, record.thresholds, enough=_enough(followed))
    familiarity = slow_readings.familiarity if slow_readings else None
    outcome, reason = in_scope(outcome, reason, familiarity, record.scope_limit)
    propositions = scorer.propositions(slow_readings.pooled) if slow_readings else ()
    return TrackFinding(
        track.id,
        person,
        track.shot,
        observations,
        outcome,
        reason + kind_suffix(outcome, propositions),
        pooled=whole,
        segment=segment,
        score=decided.score,
        log10_lr=log10_likelihood_ratio(decided.score, record.log10_lr_bounds),
        raw_logit=float(np.average([observation.raw_logit for observation in scored], weights=weights)),
        strongest=looked_at[int(np.argmax(np.array([observation.raw_logit for observation in looked_at])))],
        propositions=propositions,
        familiarity=familiarity,
    )


def _enough(followed: _Followed) -> int:
    """Return the number of scored frames that a verdict needs."""
    return min(FEWEST_FRAMES, len(followed.frames))


def _person(person: Person, findings: Sequence[TrackFinding], scorer: FaceScorer, *, enough: int) -> PersonFinding:
    """Combine the tracks of a person into one finding."""
    record = scorer.record
    judged = [track for track in findings if track.id in person.tracks and track.pooled is not None]
    scored = [
        track
        for track in judged
        if in_scope(Outcome.MANIPULATED, "", track.familiarity, record.scope_limit)[0] is Outcome.MANIPULATED
    ]
    if not scored:
        if judged:
            return PersonFinding(person.id, (), judged[0].outcome, judged[0].reason)
        return PersonFinding(person.id, (), Outcome.NOT_APPLICABLE)
    strongest = max(scored, key=lambda track: track.pooled.score if track.pooled else 0.0)
    pooled = _pooled_over(scored, record)
    others = [track for track in scored if track is not strongest]
    without_strongest = _pooled_over(others, record) if others else None
    return of_person(person.id, scored, pooled, without_strongest, record.thresholds, enough=enough)


def _pooled_over(tracks: Sequence[TrackFinding], record: ModelRecord) -> Pooled:
    observations = sorted((item for track in tracks for item in track.scored), key=lambda item: item.time_s)
    return pool(*series(observations, record.calibrator), record.pool_frames)


def _adjusted_for_persons(
    findings: Sequence[TrackFinding], persons: Sequence[PersonFinding], scorer: FaceScorer
) -> list[TrackFinding]:
    """Return the findings on tracks, adjusted for the other tracks of the same person."""
    by_track = {number: person for person in persons for number in person.tracks}
    scored = sum(track.pooled is not None for track in findings)
    thresholds = scorer.record.thresholds
    return [
        adjust_for_person(track, by_track[track.id], thresholds, scored=scored) if track.id in by_track else track
        for track in findings
    ]


def _unscored(observation: FaceObservation, problem: str) -> FaceObservation:
    quality = replace(observation.quality, problem=observation.quality.problem or problem)
    return replace(observation, quality=quality, raw_logit=None, score=None)


def _explained(
    findings: Sequence[TrackFinding], followed: _Followed, scorer: FaceScorer, context: RunContext
) -> list[TrackFinding]:
    """Add to each track the heatmap of its strongest frame."""
    explained = []
    for number, track in enumerate(findings):
        context.step(f"Explaining track {number + 1} of {len(findings)}", 0.9 + 0.1 * number / len(findings))
        if track.strongest is not None:
            _, cut_out = followed.best[track.id]
            _, heatmap = scorer.explained(cut_out.views)
            _, crop = cut_out.views.widest
            track = replace(track, crop=crop, heatmap=heatmap, crop_box=cut_out.crop_box)
        explained.append(track)
    return explained
