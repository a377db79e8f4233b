"""From scores to one of the five outcomes, with the sentence that says why."""

from collections.abc import Sequence

from faceloupe.models.records import Thresholds
from faceloupe.types import FaceFinding, Outcome

NO_SIGN = "no sign of manipulation of the kinds this model knows"


def of_score(score: float, thresholds: Thresholds) -> tuple[Outcome, str]:
    """Outcome and reason of one scored face.

    Args:
        score: calibrated P(manipulated), 0..1.
        thresholds: of the model record.
    """
    if score >= thresholds.upper:
        return (
            Outcome.MANIPULATED,
            f"supports manipulation: score {score:.2f} is at or above the threshold {thresholds.upper:.2f}",
        )
    if score <= thresholds.lower:
        return (
            Outcome.AUTHENTIC,
            f"{NO_SIGN}: score {score:.2f} is at or below the threshold {thresholds.lower:.2f}",
        )
    return (
        Outcome.INCONCLUSIVE,
        f"cannot say: score {score:.2f} lies between the thresholds {thresholds.lower:.2f} and {thresholds.upper:.2f}",
    )


def of_image(faces: Sequence[FaceFinding]) -> tuple[Outcome, str, FaceFinding | None]:
    """Outcome of a picture: that of its most suspicious scored face, never a mean over people.

    Args:
        faces: from the largest to the smallest.

    Returns:
        Outcome, reason, and the face that decided; None where no face was scored.
    """
    scored = [face for face in faces if face.score is not None]
    if not faces:
        return Outcome.NOT_APPLICABLE, "cannot say: no face was found", None
    if not scored:
        why = faces[0].reason.removeprefix("cannot say: ")
        which = "" if len(faces) == 1 else f"none of the {len(faces)} faces found can be scored; of the largest one, "
        return Outcome.NOT_APPLICABLE, f"cannot say: {which}{why}", None
    decisive = max(scored, key=lambda face: face.score)
    reason = decisive.reason
    if len(scored) > 1:
        reason = f"face {decisive.id} has the highest of {len(scored)} scores: {reason}"
    elif len(faces) > 1:
        reason = f"face {decisive.id}: {reason}"
    if unscored := len(faces) - len(scored):
        reason += f"; {unscored} further {'candidate' if unscored == 1 else 'candidates'} could not be scored"
    return decisive.outcome, reason, decisive
