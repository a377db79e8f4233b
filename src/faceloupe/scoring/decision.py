"""From scores to one of the five outcomes, with the sentence that says why."""

from collections.abc import Sequence
from dataclasses import replace

from faceloupe.models.record import Thresholds
from faceloupe.types import FaceFinding, Familiarity, Outcome, Pooled, PropositionFinding, TrackFinding, apart

NO_SIGN = "no sign of manipulation of the kinds this model knows"
UNSCORED = "not applicable: "  # begins the reason where nothing was scored


def of_score(score: float, thresholds: Thresholds) -> tuple[Outcome, str]:
    """Outcome and reason of one scored face.

    Args:
        score: calibrated P(manipulated), 0..1.
        thresholds: of the model record.
    """
    shown, lower, upper = apart(score, thresholds.lower, thresholds.upper)
    if score >= thresholds.upper:
        return Outcome.MANIPULATED, f"supports manipulation: the score {shown} is at or above the threshold {upper}"
    if score <= thresholds.lower:
        return Outcome.AUTHENTIC, f"{NO_SIGN}: the score {shown} is at or below the threshold {lower}"
    return Outcome.INCONCLUSIVE, f"inconclusive: the score {shown} lies between the thresholds {lower} and {upper}"


def of_face(
    score: float, thresholds: Thresholds, familiarity: Familiarity | None, scope_limit: float
) -> tuple[Outcome, str]:
    """Outcome and reason of one scored face; there is no verdict on one that is unlike all that are known.

    Args:
        score, thresholds: see ``of_score``.
        familiarity: where the face lies among the known ones; None where the model cannot tell.
        scope_limit: of the model record.
    """
    return in_scope(*of_score(score, thresholds), familiarity, scope_limit)


APART = 0.5  # log10 of the ratio of two likelihood ratios, from which on one proposition is called the likelier one
_KINDS = {"generated": "fully generated", "changed": "changed in part (swapped, reenacted or composed)"}


def which_kind(outcome: Outcome, propositions: Sequence[PropositionFinding]) -> str:
    """What kind of manipulation a verdict ``manipulated`` points to, as the end of its reason; else empty."""
    if outcome is not Outcome.MANIPULATED or len(propositions) != len(_KINDS):
        return ""
    first, second = sorted(propositions, key=lambda one: -one.log10_lr)
    ratios = ", ".join(f"log10 LR {one.log10_lr:+.2f} for {one.name}" for one in propositions)
    if first.log10_lr - second.log10_lr < APART:
        return f"; the scores do not tell whether the face was fully generated or changed in part ({ratios})"
    return f"; more likely {_KINDS[first.name]} than {_KINDS[second.name]} ({ratios})"


def in_scope(outcome: Outcome, reason: str, familiarity: Familiarity | None, scope_limit: float) -> tuple[Outcome, str]:
    """Take a verdict back where the face is unlike all that are known."""
    undecided = outcome not in (Outcome.MANIPULATED, Outcome.AUTHENTIC)
    if undecided or familiarity is None or not scope_limit or familiarity.distance <= scope_limit:
        return outcome, reason
    shown, limit = apart(familiarity.distance, scope_limit, decimals=3)
    return Outcome.INCONCLUSIVE, (
        f"inconclusive: the face is unlike those that this model was calibrated on (distance {shown}, limit {limit}; "
        f"the nearest known faces are those of {familiarity.nearest})"
    )


def withheld(face: FaceFinding, *, unshown: str, damage: str) -> FaceFinding:
    """The finding on a face of a picture that not every verdict can rest on.

    Args:
        unshown: the color treatment that could not be applied: a viewer may show another picture. Empty where none.
        damage: what the picture's data lacks: a sign of manipulation may lie under it. Empty where nothing.
    """
    if unshown and face.outcome in (Outcome.AUTHENTIC, Outcome.MANIPULATED):
        why = f"inconclusive: viewers may show other colors than those analyzed, because {unshown}"
        return replace(face, outcome=Outcome.INCONCLUSIVE, reason=why)
    if damage and face.outcome is Outcome.AUTHENTIC:
        why = f"inconclusive: the picture is damaged, and the lost part may hide a manipulation ({damage})"
        return replace(face, outcome=Outcome.INCONCLUSIVE, reason=why)
    return face


def of_image(faces: Sequence[FaceFinding], *, smallest_px: float) -> tuple[Outcome, str, FaceFinding | None]:
    """Outcome of a picture: that of its most suspicious scored face, never a mean over people.

    A picture whose largest face could not be scored is never called authentic on the word of a lesser one.

    Args:
        faces: from the largest to the smallest.
        smallest_px: faces from this size upward were looked for, source pixels.

    Returns:
        Outcome, reason, and the face that decided; None where no face was scored.
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


FEWEST_FRAMES = 3  # scored frames that a track needs for a verdict, where that many were looked at


def of_track(
    whole: Pooled, segment: Pooled | None, thresholds: Thresholds, *, enough: int
) -> tuple[Outcome, str, Pooled]:
    """Outcome of one face track, the sentence that says why, and what decided.

    Args:
        whole: what all scored frames say.
        segment: the part that speaks loudest for manipulation, if the track is long enough to have one.
        thresholds: of the model record.
        enough: scored frames needed for a verdict.
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
    part, upper = apart(segment.score, thresholds.upper)
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


_ORDER = {Outcome.MANIPULATED: 2, Outcome.INCONCLUSIVE: 1, Outcome.AUTHENTIC: 0}


def of_video(
    tracks: Sequence[TrackFinding], *, smallest_px: float, frames: int, unread: int
) -> tuple[Outcome, str, TrackFinding | None]:
    """Outcome of a video: that of its most suspicious track, named; never a mean over people.

    A video of which much could not be read, or whose longest-seen face could not be scored, is never called authentic
    on the word of the rest.

    Args:
        tracks: in order of first appearance.
        smallest_px: faces from this size upward were looked for, source pixels.
        frames: that were looked at.
        unread: that should have been looked at, but could not be decoded.

    Returns:
        Outcome, reason, and the track that decided; None where none was scored.
    """
    lost = f"; {unread} of {frames + unread} frames could not be read" if unread else ""
    scored = [track for track in tracks if track.score is not None]
    if not tracks:
        found = f"{UNSCORED}no face of {smallest_px:.0f} px or more was found in the {frames} analyzed frames"
        return Outcome.NOT_APPLICABLE, found + lost, None
    longest = max(tracks, key=lambda track: (len(track.observations), track.largest.face.size_px))
    why = longest.reason.removeprefix(UNSCORED)
    if not scored:
        which = "" if len(tracks) == 1 else f"none of the {len(tracks)} faces can be scored; the one seen longest: "
        return Outcome.NOT_APPLICABLE, f"{UNSCORED}{which}{why}{lost}", None
    decisive = max(scored, key=lambda track: (_ORDER[track.outcome], len(track.scored) >= FEWEST_FRAMES, track.score))
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
