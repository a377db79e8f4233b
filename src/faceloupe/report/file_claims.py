"""Disagreement between the claims of a file about itself and the outcome of the model, as a sentence."""

from faceloupe.report.document.locales import texts_in
from faceloupe.report.schema import Report
from faceloupe.report.translation import Part, translated
from faceloupe.types import Outcome

_CAPTURED = "provenance.digitalCapture"


def disagreement(report: Report, language: str = "en") -> str:
    """Return a sentence if a claim of the file contradicts the outcome of the model; empty if none does.

    A claim that the file was generated contradicts ``authentic``. Valid credentials of a listed signer that state a
    capture by a camera contradict ``manipulated``.

    Args:
        report: the report of an image or a video.
        language: one of ``locales.LANGUAGES``.

    Raises:
        UsageError: there are no texts in that language.
    """
    origin, texts = report.provenance, texts_in(language)
    if origin is None:
        return ""
    if origin.generator and report.outcome is Outcome.AUTHENTIC:
        return texts["disagrees_generated"].format(generator=translated(origin.generator, language, Part.PROGRAM))
    captured = origin.state == "trusted" and any(claim.id == _CAPTURED for claim in origin.claims)
    if captured and report.outcome is Outcome.MANIPULATED:
        return texts["disagrees_captured"].format(signer=origin.signer or texts["none"])
    return ""
