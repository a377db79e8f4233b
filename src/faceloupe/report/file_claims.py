"""Where what a file says about itself and what the model found disagree, in words for every surface."""

from faceloupe.report.document.locales import texts_in
from faceloupe.report.schema import Report
from faceloupe.report.translation import Part, translated
from faceloupe.types import Outcome

_CAPTURED = "provenance.digitalCapture"


def disagreement(report: Report, language: str = "en") -> str:
    """Say where the file's claim and the model's outcome disagree; empty where they do not.

    A claim to be generated stands against ``authentic``; credentials that hold, of a listed signer, and that state a
    capture by a camera stand against ``manipulated``.

    Args:
        report: of an image or a video.
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
