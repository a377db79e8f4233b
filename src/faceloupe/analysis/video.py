"""A video: frames are sampled, faces followed into tracks, and each track pooled to one finding."""

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
from faceloupe.faces.frame import PictureItself
from faceloupe.faces.quality import low_confidence_reason
from faceloupe.faces.tracks import Person, Track, Tracker, link
from faceloupe.faces.upright import Follower
from faceloupe.findings import FaceObservation, PersonFinding, Pooled, TrackFinding
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.media.sampling import Sample, Sampler
from faceloupe.media.sandbox.video import IsolatedVideo
from faceloupe.models.contract import QualityGates
from faceloupe.models.record import ModelRecord
from faceloupe.scoring.aggregation import pool, series, strongest_segment
from faceloupe.scoring.calibration import log10_likelihood_ratio
from faceloupe.scoring.classifier import Consulted, FaceScorer
from faceloupe.scoring.decision import (
    FEWEST_FRAMES,
    UNSCORED,
    in_company,
    in_scope,
    of_person,
    of_track,
    of_video,
    which_kind,
    withheld,
)
from faceloupe.types import DetectedFace, FrameStage, Outcome, Segment

_BATCH_FRAMES, _BATCH_BYTES = 8, 64 * 1024 * 1024  # of frames that are examined together
_BATCHES_AHEAD = 1  # decoded while those before are examined
_THUMB_SIDE = 64  # pixels


def examine(
    evidence_file: EvidenceFile, networks: Networks, *, settings: Settings, explain: bool, context: RunContext
) -> Analysis:
    """Examine a video.

    Raises:
        EvidenceError: nothing of it can be decoded, or it changed while it was examined.
        UsageError: the settings ask for a segment that it does not have.
        Cancelled: the caller wants it to stop.
    """
    context.step("Reading the container", 0.1)
    with evidence_file.open() as stream:
        with IsolatedVideo(evidence_file, stream, settings=settings, check=context.check) as video:
            facts = video.facts
            sampler = Sampler(video, frames=settings.frames, from_s=settings.from_s, to_s=settings.to_s)
            followed = _follow(sampler, networks, context)
            unread = {index: float(video.time(index)) for index in video.unreadable}
            notes = [*facts.notes, *_losses(unread, video.damaged_packets)]
        evidence_file.refuse_changed(stream)
    if not followed.frames:
        raise EvidenceError("None of the selected frames can be decoded; get a complete copy.")
    notes += _undone(followed)
    if blips := followed.settle(networks.scorer.record.gates):
        notes.append(f"{blips} uncertain face candidates that occurred in a single frame were left out.")
    people = link(followed.tracks, check=context.check)
    explain_s, began = 0.0, context.now()
    findings = []
    for number, track in enumerate(followed.tracks):
        context.step(f"Scoring face {number + 1} of {len(followed.tracks)}", 0.9)
        findings.append(_finding(track, people, followed, networks.scorer, context))
    persons = [_person(person, findings, networks.scorer, enough=_enough(followed)) for person in people]
    findings = _in_company(findings, persons, networks.scorer)
    findings = [withheld(track, unshown=facts.unshown) for track in findings]
    if facts.unshown:
        persons = [replace(withheld(person, unshown=facts.unshown), agreeing=()) for person in persons]
    followed.score_s += context.now() - began
    context.lap()
    if explain:
        findings = _explained(findings, followed, networks.scorer, context)
        explain_s = context.lap()
    outcome, reason, decisive = of_video(
        findings,
        smallest_px=networks.detector.smallest_followed(facts.width, facts.height),
        frames=len(followed.frames),
        unread=len(unread),
    )
    last_s = max(time_s for time_s, _ in followed.frames.values())
    part = Segment.asked_for(settings.from_s, settings.to_s, duration_s=facts.duration_s, last_s=last_s)
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


def _undone(followed: "_Followed") -> list[str]:
    """Say in how many frames a border was left out, and in how many faces were turned."""
    whole, notes = len(followed.frames), []
    if followed.on_ground:
        notes.append(
            f"In {followed.on_ground} of {whole} frames the picture lies on a ground of one color, such as bars; the "
            "ground was left out."
        )
    if followed.with_turned:
        notes.append(
            f"In {len(followed.with_turned)} of {whole} frames a face is tilted; it was turned upright before scoring."
        )
    return notes


@dataclass(slots=True)
class _Followed:
    """What one pass over the video gathers; pixels are kept of the strongest frame of each track only.

    Attributes:
        frames: index -> time and shot, of every frame analyzed.
        observations: id of a track -> its looks, in order.
        best: id of a track -> its highest logit so far, and the cut-out face that gave it.
        telling: id of a track -> part of the video -> how telling its best frame there is, index of that frame and the
            cut-out face; for models with members that look at telling frames only.
        on_ground: frames whose picture lies on a ground of one color.
        with_turned: indices of frames with a face that was turned upright.
    """

    tracker: Tracker = field(default_factory=Tracker)
    frames: dict[int, tuple[float, int]] = field(default_factory=dict)
    observations: dict[int, list[FaceObservation]] = field(default_factory=lambda: defaultdict(list))
    best: dict[int, tuple[float, Candidate]] = field(default_factory=dict)
    telling: dict[int, dict[int, tuple[float, int, Candidate]]] = field(default_factory=lambda: defaultdict(dict))
    on_ground: int = 0
    with_turned: set[int] = field(default_factory=set)
    decode_s: float = 0.0
    detect_s: float = 0.0
    score_s: float = 0.0

    @property
    def tracks(self) -> list[Track]:
        return self.tracker.tracks

    def settle(self, gates: QualityGates) -> int:
        """Leave out candidates that were met once and not for sure; number the rest anew. How many were left out."""
        remaining = [
            track for track in self.tracks if len(track.faces) > 1 or track.faces[0].confidence >= gates.min_confidence
        ]
        left_out = len(self.tracks) - len(remaining)
        self.observations = {number: self.observations[track.id] for number, track in enumerate(remaining, 1)}
        self.best = {number: self.best[track.id] for number, track in enumerate(remaining, 1) if track.id in self.best}
        self.telling = {n: self.telling[track.id] for n, track in enumerate(remaining, 1) if track.id in self.telling}
        for number, track in enumerate(remaining, 1):
            track.id = number
        self.tracker.tracks = remaining
        return left_out


def _follow(sampler: Sampler, networks: Networks, context: RunContext) -> _Followed:
    """Go through a video in three stages, each in a thread: frames are decoded, faces found, tracked and scored."""
    followed = _Followed()
    detected = _detected(ahead(_batches(sampler, followed, context), _BATCHES_AHEAD), followed, networks, context)
    with closing(ahead(detected, _BATCHES_AHEAD)) as batches:
        for batch in batches:
            done = len(followed.frames)
            whole = max(len(sampler.planned), done)  # one more for some shots
            context.step(FrameStage(done, whole), 0.1 + 0.8 * done / whole)
            if batch:
                began = context.now()
                _score(batch, followed, networks, whole)
                followed.score_s += context.now() - began
    return followed


@dataclass(frozen=True, slots=True)
class _Searched:
    """A frame, its picture without the ground, and the faces in that, in its pixels."""

    sample: Sample
    picture: PictureItself
    faces: list[DetectedFace]


def _batches(sampler: Sampler, followed: _Followed, context: RunContext) -> Generator[list[Sample]]:
    """Yield the frames to look at, several at a time, or one at a time where they are large."""
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
    shot, follower = None, Follower(networks.detector)
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
                picture = PictureItself.of(sample.rgb)
                searched.append(_Searched(sample, picture, follower.detect(picture.rgb, fresh=is_fresh)))
            followed.detect_s += context.now() - began
            shot = batch[-1].shot
            yield searched


def _score(batch: list[_Searched], followed: _Followed, networks: Networks, whole: int) -> None:
    """Track and score the faces of successive frames, of about ``whole`` in the end."""
    scorer = networks.scorer
    parts = scorer.record.fusion.frames if scorer.record.fusion else 0
    pending: list[tuple[int, Sample, Candidate]] = []
    part_of: dict[int, int] = {}  # index of a frame -> part of the video, for the choice of telling frames
    for searched in batch:
        sample, picture = searched.sample, searched.picture
        part_of[sample.index] = min(len(followed.frames) * parts // max(whole, 1), parts - 1) if parts else 0
        followed.frames[sample.index] = (sample.time_s, sample.shot)
        followed.on_ground += picture.has_ground
        cut_out = [candidate(face, picture, scorer) for face in searched.faces]
        followed.with_turned |= {sample.index for each in cut_out if each.turned_deg}
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
            known, part = followed.telling[owner], part_of[sample.index]
            value = pending_face.face.size_px * pending_face.face.confidence * pending_face.quality.sharpness**0.5
            if part not in known or value > known[part][0]:
                known[part] = (value, sample.index, pending_face)
        elif owner not in followed.best or logit > followed.best[owner][0]:
            followed.best[owner] = (logit, pending_face)


def _thumb(crop: np.ndarray) -> bytes:
    small = cv2.resize(crop, (_THUMB_SIDE, _THUMB_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()


def _consult(track: Track, followed: _Followed, scorer: FaceScorer, context: RunContext) -> Consulted | None:
    """Have the expert analyze the telling frames of a track, and put its log-odds into every observation.

    Between telling frames the expert's log-odds are interpolated in time, and beyond the first and last one held.
    """
    telling = sorted(followed.telling.get(track.id, {}).values(), key=lambda entry: entry[1])
    if not telling:
        return None
    at = {observation.frame: number for number, observation in enumerate(followed.observations[track.id])}
    consulted = scorer.consult([cut_out.views for _, _, cut_out in telling], check=context.check)
    observations = followed.observations[track.id]
    times = [observations[at[index]].time_s for _, index, _ in telling]
    asked = {index for _, index, _ in telling}
    for number, observation in enumerate(observations):
        if observation.raw_logit is not None:
            logit = scorer.frame_logit(observation.raw_logit, consulted.at(times, observation.time_s))
            observations[number] = replace(
                observation, raw_logit=logit, score=scorer.probability(logit), by_expert=observation.frame in asked
            )
    logits = {each.frame: each.raw_logit for each in observations if each.raw_logit is not None}
    _, index, cut_out = max(telling, key=lambda choice: logits[choice[1]])
    followed.best[track.id] = (logits[index], cut_out)
    return consulted


def _finding(
    track: Track, people: Sequence[Person], followed: _Followed, scorer: FaceScorer, context: RunContext
) -> TrackFinding:
    sure = not low_confidence_reason([observation.face.confidence for observation in followed.observations[track.id]])
    consulted = _consult(track, followed, scorer, context) if sure else None
    observations, record = tuple(followed.observations[track.id]), scorer.record
    person = next(person.id for person in people if track.id in person.tracks)
    if problem := low_confidence_reason([observation.face.confidence for observation in observations]):
        observations = tuple(_unscored(observation, problem) for observation in observations)
    scored = [observation for observation in observations if observation.score is not None]
    if not scored:
        why = problem or max(observations, key=lambda observation: observation.face.size_px).quality.problem
        return TrackFinding(track.id, person, track.shot, observations, Outcome.NOT_APPLICABLE, f"{UNSCORED}{why}")
    times, log_odds, weights = series(scored, record.calibrator)
    whole = pool(times, log_odds, weights, record.over_frames)
    # Between two frames that the expert looked at nothing is known of it: these alone can stand out together.
    looked_at = [observation for observation in scored if observation.by_expert] or scored
    segment = strongest_segment(*series(looked_at, record.calibrator), record.over_frames)
    outcome, reason, decided = of_track(whole, segment, record.thresholds, enough=_enough(followed))
    familiarity = consulted.familiarity if consulted else None
    outcome, reason = in_scope(outcome, reason, familiarity, record.scope_limit)
    propositions = scorer.propositions(consulted.pooled) if consulted else ()
    return TrackFinding(
        track.id,
        person,
        track.shot,
        observations,
        outcome,
        reason + which_kind(outcome, propositions),
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
    """Scored frames that a verdict needs."""
    return min(FEWEST_FRAMES, len(followed.frames))


def _person(person: Person, findings: Sequence[TrackFinding], scorer: FaceScorer, *, enough: int) -> PersonFinding:
    """Combine the shots of a person into one finding."""
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
    return pool(*series(observations, record.calibrator), record.over_frames)


def _in_company(
    findings: Sequence[TrackFinding], persons: Sequence[PersonFinding], scorer: FaceScorer
) -> list[TrackFinding]:
    """Return the findings on tracks in the light of the other shots of each person."""
    by_track = {number: person for person in persons for number in person.tracks}
    scored = sum(track.pooled is not None for track in findings)
    thresholds = scorer.record.thresholds
    return [
        in_company(track, by_track[track.id], thresholds, scored=scored) if track.id in by_track else track
        for track in findings
    ]


def _unscored(observation: FaceObservation, problem: str) -> FaceObservation:
    quality = replace(observation.quality, problem=observation.quality.problem or problem)
    return replace(observation, quality=quality, raw_logit=None, score=None)


def _explained(
    findings: Sequence[TrackFinding], followed: _Followed, scorer: FaceScorer, context: RunContext
) -> list[TrackFinding]:
    """Add the heatmap of each track's strongest frame."""
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
