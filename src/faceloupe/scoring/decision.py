"""Decisions: from scores to one of the outcomes, with a sentence that gives the reason."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from faceloupe.findings import FaceFinding, Familiarity, PersonFinding, Pooled, PropositionFinding, TrackFinding
from faceloupe.scoring.aggregation import lower_end
from faceloupe.types import Outcome, format_distinct

NO_SIGN = "no sign of manipulation of the kinds this model knows"
UNSCORED = "not applicable: "  # start of the reason if nothing was scored


class ScoreBounds(Protocol):
    """The thresholds of a score, from a model record or from a report."""

    @property
    def lower(self) -> float:
        """The threshold at or below which a score is authentic, 0..1."""

    @property
    def upper(self) -> float:
        """The threshold at or above which a score is manipulated, 0..1."""


def of_frame(score: float | None, thresholds: ScoreBounds) -> Outcome:
    """Return the outcome that a single frame would have; a frame that was not scored is not applicable."""
    return Outcome.NOT_APPLICABLE if score is None else of_score(score, thresholds)[0]


def of_score(score: float, thresholds: ScoreBounds) -> tuple[Outcome, str]:
    """Return the outcome and the reason for one scored face.

    Args:
        score: calibrated P(manipulated), 0..1.
        thresholds: thresholds of the model record.
    """
    shown, lower, upper = format_distinct(score, thresholds.lower, thresholds.upper)
    if score >= thresholds.upper:
        return Outcome.MANIPULATED, f"supports manipulation: the score {shown} is at or above the threshold {upper}"
    if score <= thresholds.lower:
        return Outcome.AUTHENTIC, f"{NO_SIGN}: the score {shown} is at or below the threshold {lower}"
    return Outcome.INCONCLUSIVE, f"inconclusive: the score {shown} lies between the thresholds {lower} and {upper}"


def of_face(
    score: float, thresholds: ScoreBounds, familiarity: Familiarity | None, scope_limit: float
) -> tuple[Outcome, str]:
    """Return the outcome and the reason for one scored face; a face unlike all known faces gets no verdict.

    Args:
        score: calibrated P(manipulated), 0..1.
        thresholds: thresholds of the model record.
        familiarity: distance from the known faces; None if the model does not measure it.
        scope_limit: greatest distance for a verdict, from the model record; 0 for no limit.
    """
    return in_scope(*of_score(score, thresholds), familiarity, scope_limit)


APART = 0.5  # least difference of two log10 LRs for which one proposition is called more likely than the other
_KINDS = {"generated": "fully generated", "changed": "changed in part (swapped, reenacted or composed)"}


def kind_suffix(outcome: Outcome, propositions: Sequence[PropositionFinding]) -> str:
    """Return the end of a reason: the kind of manipulation that a verdict ``manipulated`` points to.

    It is empty for other outcomes, and for models that do not have both propositions.
    """
    if outcome is not Outcome.MANIPULATED or len(propositions) != len(_KINDS):
        return ""
    first, second = sorted(propositions, key=lambda proposition: -proposition.log10_lr)
    ratios = ", ".join(f"log10 LR {proposition.log10_lr:+.2f} for {proposition.name}" for proposition in propositions)
    if first.log10_lr - second.log10_lr < APART:
        return f"; the scores do not tell whether the face was fully generated or changed in part ({ratios})"
    return f"; more likely {_KINDS[first.name]} than {_KINDS[second.name]} ({ratios})"


def in_scope(outcome: Outcome, reason: str, familiarity: Familiarity | None, scope_limit: float) -> tuple[Outcome, str]:
    """Replace a verdict by ``inconclusive`` if the face is unlike all known faces; keep other outcomes."""
    undecided = outcome not in (Outcome.MANIPULATED, Outcome.AUTHENTIC)
    if undecided or familiarity is None or not scope_limit or familiarity.distance <= scope_limit:
        return outcome, reason
    shown, limit = format_distinct(familiarity.distance, scope_limit, decimals=3)
    return Outcome.INCONCLUSIVE, (
        f"inconclusive: the face is unlike those that this model was calibrated on (distance {shown}, limit {limit}; "
        f"the nearest known faces are those of {familiarity.nearest})"
    )


Finding = TypeVar("Finding", FaceFinding, TrackFinding, PersonFinding)


def withhold_if_flawed(face: Finding, *, unshown: str, damage: str = "", coarse: str = "") -> Finding:
    """Withhold a verdict that a flawed picture or video cannot support.

    Args:
        face: the finding according to the score only.
        unshown: the color transform that could not be applied, so that viewers may show other colors; empty if none.
        damage: the missing part of the picture's data, which may hide a manipulation; empty if nothing is missing.
        coarse: why the picture has few levels, so that fine signs of manipulation may be lost; empty if it has enough.

    Returns:
        The finding, with the outcome ``inconclusive`` if its verdict is withheld.
    """
    if unshown and face.outcome in (Outcome.AUTHENTIC, Outcome.MANIPULATED):
        why = f"inconclusive: viewers may show other colors than those analyzed, because {unshown}"
        return replace(face, outcome=Outcome.INCONCLUSIVE, reason=why)
    if damage and face.outcome is Outcome.AUTHENTIC:
        why = f"inconclusive: the picture is damaged, and the lost part may hide a manipulation ({damage})"
        return replace(face, outcome=Outcome.INCONCLUSIVE, reason=why)
    if coarse and face.outcome is Outcome.AUTHENTIC:
        why = f"inconclusive: fine signs of a manipulation may be lost, because {coarse}"
        return replace(face, outcome=Outcome.INCONCLUSIVE, reason=why)
    return face


def of_image(faces: Sequence[FaceFinding], *, smallest_px: float) -> tuple[Outcome, str, FaceFinding | None]:
    """Return the outcome of a picture, which is that of its most suspicious scored face and never a mean over people.

    A picture whose largest face could not be scored is never called authentic because of a smaller face.

    Args:
        faces: faces from the largest to the smallest.
        smallest_px: size of the smallest faces that were looked for, source pixels.

    Returns:
        The outcome, the reason, and the decisive face, or None if no face was scored.
    """
    scored = [face for face in faces if face.score is not None]
    if not faces:
        return Outcome.NOT_APPLICABLE, f"{UNSCORED}no face of {smallest_px:.0f} px or more was found", None
    if not scored:
        why = faces[0].reason.removeprefix(UNSCORED)
        which = "" if len(faces) == 1 else f"none of the {len(faces)} faces found can be scored; the largest one: "
        return Outcome.NOT_APPLICABLE, f"{UNSCORED}{which}{why}", None
    decisive = max(scored, key=lambda face: face.score or 0.0)
    outcome, reason = decisive.outcome, decisive.reason
    if outcome is Outcome.AUTHENTIC and faces[0].score is None:
        hidden = faces[0].reason.removeprefix(UNSCORED)
        return Outcome.INCONCLUSIVE, f"inconclusive: the largest face could not be scored ({hidden})", decisive
    if len(scored) > 1:
        reason = f"face {decisive.id} has the highest of {len(scored)} scores: {reason}"
    elif len(faces) > 1:
        reason = f"face {decisive.id}: {reason}"
    if unscored := len(faces) - len(scored):
        reason += f"; {unscored} further {'candidate' if unscored == 1 else 'candidates'} could not be scored"
    return outcome, reason, decisive


FEWEST_FRAMES = 3  # scored frames that a track needs for a verdict, if that many frames were analyzed


def of_track(
    whole: Pooled, segment: Pooled | None, thresholds: ScoreBounds, *, enough: int
) -> tuple[Outcome, str, Pooled]:
    """Return the outcome of one face track, the reason, and the decisive pooled score.

    Args:
        whole: pooled score of all scored frames.
        segment: the segment that supports manipulation most; None if the track is too short to have segments.
        thresholds: thresholds of the model record.
        enough: number of scored frames needed for a verdict.
    """
    if whole.frames < enough:
        frames = "1 frame" if whole.frames == 1 else f"{whole.frames} frames"
        return (
            Outcome.INCONCLUSIVE,
            f"inconclusive: only {frames} of this face can be scored; {enough} are needed",
            whole,
        )
    outcome, reason = of_score(whole.score, thresholds)
    if outcome is Outcome.MANIPULATED or segment is None or segment.score < thresholds.upper:
        return outcome, reason, whole
    when = f"from {segment.first_s:.2f} s to {segment.last_s:.2f} s"
    part, upper = format_distinct(segment.score, thresholds.upper)
    if segment.low >= thresholds.upper:
        return (
            Outcome.MANIPULATED,
            f"supports manipulation {when}: the score is {part} there and {whole.score:.2f} over the whole track; "
            f"the threshold is {upper}",
            segment,
        )
    if outcome is Outcome.AUTHENTIC:
        return (
            Outcome.INCONCLUSIVE,
            f"inconclusive: the score of the whole track is {whole.score:.2f}, but {part} {when}; analyze that segment",
            whole,
        )
    return outcome, f"{reason}; it is highest {when} ({part})", whole


AGREEMENT = 2 / 3  # share of a person's shots that must agree for a verdict on the person
_FEWEST_CONTRADICTED = 4  # with at least this many scored shots of a person, one shot may not be enough for a verdict
_MOST_NAMED = 6  # greatest number of shots listed in a reason


def of_person(
    number: int,
    tracks: Sequence[TrackFinding],
    pooled: Pooled,
    without_strongest: Pooled | None,
    thresholds: ScoreBounds,
    *,
    enough: int,
) -> PersonFinding:
    """Decide on a person from the shots linked to them, so that a single wrong link cannot cause a verdict.

    ``manipulated`` needs at least two shots, and at least two thirds of all shots, whose own scores reach the upper
    threshold; the pooled score must reach it with and without the strongest shot. ``authentic`` needs a pooled score
    and the same shares of shots at or below the lower threshold, and no shot at or above the upper threshold or with
    the verdict ``manipulated``. In addition, a shot must have the same verdict itself, or the frames without the
    strongest shot must be enough for a verdict.

    Args:
        number: number of the person.
        tracks: the person's scored tracks, one per shot.
        pooled: pooled score of the scored frames of all these tracks.
        without_strongest: the same without the track that has the highest score; None if there is only one track.
        thresholds: thresholds of the model record.
        enough: number of scored frames needed for a verdict.
    """
    ids = tuple(track.id for track in tracks)
    if len(tracks) < 2 or without_strongest is None:
        return PersonFinding(number, ids, tracks[0].outcome, "", pooled, ids)
    scores = {track.id: track.pooled.score for track in tracks if track.pooled is not None}
    above = [track for track in tracks if scores[track.id] >= thresholds.upper]
    below = [track for track in tracks if scores[track.id] <= thresholds.lower]
    count = len(tracks)
    enough_left = without_strongest.frames >= enough
    if (
        pooled.score >= thresholds.upper
        and without_strongest.score >= thresholds.upper
        and len(above) >= max(2, AGREEMENT * count)
        and (enough_left or any(track.outcome is Outcome.MANIPULATED for track in above))
    ):
        outcome, agreeing, finding = Outcome.MANIPULATED, above, "support manipulation"
    elif (
        pooled.score <= thresholds.lower
        and len(below) >= max(2, AGREEMENT * count)
        and not above
        and not any(track.outcome is Outcome.MANIPULATED for track in tracks)
        and (enough_left or any(track.outcome is Outcome.AUTHENTIC for track in below))
    ):
        outcome, agreeing, finding = Outcome.AUTHENTIC, below, f"show {NO_SIGN}"
    else:
        why = (
            f"inconclusive: {len(above)} of the {count} scored shots of person {number} score at or above the upper "
            f"threshold, {len(below)} at or below the lower one; together they score {pooled.score:.2f}"
        )
        return PersonFinding(number, ids, Outcome.INCONCLUSIVE, why, pooled)
    reason = (
        f"{len(agreeing)} of the {count} scored shots of person {number} {finding}, together with the score "
        f"{pooled.score:.2f}: {_shots(agreeing)}"
    )
    return PersonFinding(number, ids, outcome, reason, pooled, tuple(track.id for track in agreeing))


def _shots(tracks: Sequence[TrackFinding]) -> str:
    """Return the numbers and times of shots, as text."""
    named = [
        f"shot {track.shot} ({track.observations[0].time_s:.1f} to {track.observations[-1].time_s:.1f} s)"
        for track in tracks[:_MOST_NAMED]
    ]
    more = f" and {len(tracks) - len(named)} more" if len(tracks) > len(named) else ""
    return ", ".join(named) + more


def adjust_for_person(
    track: TrackFinding, person: PersonFinding, thresholds: ScoreBounds, *, scored: int
) -> TrackFinding:
    """Revise the finding on a track, given the other shots of the same person.

    A track that is too short for its own verdict takes the person's verdict if it agrees with it. If the person has
    many shots and is not called manipulated, a track keeps the verdict ``manipulated`` only if its interval, widened
    for the number of scored tracks (Bonferroni), lies above the threshold. Otherwise it becomes inconclusive, and its
    reason says where to look closer.

    Args:
        track: finding on the track without the other shots.
        person: finding on the person.
        thresholds: thresholds of the model record.
        scored: number of scored tracks in the video.
    """
    if track.pooled is None or not person.reason:
        return track
    short = track.outcome is Outcome.INCONCLUSIVE and track.pooled.frames < FEWEST_FRAMES
    if short and track.id in person.agreeing and person.outcome in (Outcome.MANIPULATED, Outcome.AUTHENTIC):
        return replace(track, outcome=person.outcome, reason=person.reason)
    decisive = track.pooled if track.segment is None or track.score == track.pooled.score else track.segment
    if (
        track.outcome is Outcome.MANIPULATED
        and person.outcome is not Outcome.MANIPULATED
        and len(person.tracks) >= _FEWEST_CONTRADICTED
        and lower_end(decisive, scored) < thresholds.upper
    ):
        part, upper = format_distinct(decisive.score, thresholds.upper)
        reason = (
            f"inconclusive: shot {track.shot} alone scores {part}, not surely above the threshold {upper} as one of "
            f"{scored} tracks; {person.reason.removeprefix('inconclusive: ')}; look closer there"
        )
        return replace(track, outcome=Outcome.INCONCLUSIVE, reason=reason)
    return track


_ORDER = {Outcome.MANIPULATED: 2, Outcome.INCONCLUSIVE: 1, Outcome.AUTHENTIC: 0}


def _suspicion(track: TrackFinding) -> tuple[float, ...]:
    """Return the sort key for scored tracks; for equal scores, the interval with the higher upper end wins."""
    interval = (0.0, 0.0) if track.pooled is None else (track.pooled.high, track.pooled.low)
    return (_ORDER[track.outcome], len(track.scored) >= FEWEST_FRAMES, track.score or 0.0, *interval)


def of_video(
    tracks: Sequence[TrackFinding], *, smallest_px: float, frames: int, unread: int
) -> tuple[Outcome, str, TrackFinding | None]:
    """Return the outcome of a video, which is that of its most suspicious track and never a mean over people.

    A video is never called authentic if most of its frames could not be read, or if the face that is seen longest could
    not be scored.

    Args:
        tracks: tracks in order of first appearance.
        smallest_px: size of the smallest faces that were looked for, source pixels.
        frames: number of frames that were analyzed.
        unread: number of frames that should have been analyzed, but could not be decoded.

    Returns:
        The outcome, the reason, and the decisive track, or None if no track was scored.
    """
    lost = f"; {unread} of {frames + unread} frames could not be read" if unread else ""
    scored = [track for track in tracks if track.score is not None]
    if not tracks:
        nobody = f"{UNSCORED}no face of {smallest_px:.0f} px or more was found in the {frames} analyzed frames"
        return Outcome.NOT_APPLICABLE, nobody + lost, None
    longest = max(tracks, key=lambda track: (len(track.observations), track.largest.face.size_px))
    why = longest.reason.removeprefix(UNSCORED)
    if not scored:
        which = "" if len(tracks) == 1 else f"none of the {len(tracks)} faces can be scored; the one seen longest: "
        return Outcome.NOT_APPLICABLE, f"{UNSCORED}{which}{why}{lost}", None
    decisive = max(scored, key=_suspicion)
    outcome, reason = decisive.outcome, decisive.reason
    if outcome is Outcome.AUTHENTIC and longest.score is None:
        return (
            Outcome.INCONCLUSIVE,
            f"inconclusive: the face seen longest, track {longest.id}, could not be scored ({why}){lost}",
            decisive,
        )
    if outcome is Outcome.AUTHENTIC and unread > frames:
        return Outcome.INCONCLUSIVE, f"inconclusive: too little of the video could be read{lost}", decisive
    if len(scored) > 1:
        reason = f"track {decisive.id} is the most suspicious of {len(scored)}: {reason}"
    elif len(tracks) > 1:
        reason = f"track {decisive.id}: {reason}"
    if unscored := len(tracks) - len(scored):
        reason += f"; {unscored} further {'track' if unscored == 1 else 'tracks'} could not be scored"
    return outcome, reason + lost, decisive
