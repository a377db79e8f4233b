"""From scores to one of the five outcomes, with the sentence that says why."""

from collections.abc import Sequence

from faceloupe.models.records import Thresholds
from faceloupe.types import FaceFinding, Outcome, apart

NO_SIGN = "no sign of manipulation of the kinds this model knows"


def of_score(score: float, thresholds: Thresholds) -> tuple[Outcome, str]:
    """Outcome and reason of one scored face.

    Args:
        score: calibrated P(manipulated), 0..1.
        thresholds: of the model record.
    """
    shown, lower, upper = apart(score, thresholds.lower, thresholds.upper)
    if score >= thresholds.upper:
        return Outcome.MANIPULATED, f"supports manipulation: score {shown} is at or above the threshold {upper}"
    if score <= thresholds.lower:
        return Outcome.AUTHENTIC, f"{NO_SIGN}: score {shown} is at or below the threshold {lower}"
    return Outcome.INCONCLUSIVE, f"cannot say: score {shown} lies between the thresholds {lower} and {upper}"


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
        return Outcome.NOT_APPLICABLE, f"cannot say: no face of {smallest_px:.0f} px or more was found", None
    if not scored:
        why = faces[0].reason.removeprefix("cannot say: ")
        which = "" if len(faces) == 1 else f"none of the {len(faces)} faces found can be scored; of the largest one, "
        return Outcome.NOT_APPLICABLE, f"cannot say: {which}{why}", None
    decisive = max(scored, key=lambda face: face.score)
    outcome, reason = decisive.outcome, decisive.reason
    if outcome is Outcome.AUTHENTIC and faces[0].score is None:
        hidden = faces[0].reason.removeprefix("cannot say: ")
        return Outcome.INCONCLUSIVE, f"cannot say: the largest face could not be scored ({hidden})", decisive
    if len(scored) > 1:
        reason = f"face {decisive.id} has the highest of {len(scored)} scores: {reason}"
    elif len(faces) > 1:
        reason = f"face {decisive.id}: {reason}"
    if unscored := len(faces) - len(scored):
        reason += f"; {unscored} further {'candidate' if unscored == 1 else 'candidates'} could not be scored"
    return outcome, reason, decisive
