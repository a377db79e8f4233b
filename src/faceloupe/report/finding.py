"""Sentences about a finding: its outcome and strength, the face that it rests on, and the error rates that apply.

All sentences are derived from the outcome, the likelihood ratio and the decisive face of one report, so that pages,
documents and the command line cannot contradict each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from faceloupe.models.record import FUSION, RATES_OF_UNSEEN
from faceloupe.report.document.locales import texts_in
from faceloupe.report.numerals import decimal, localized, percent
from faceloupe.report.schema import Report, Track
from faceloupe.scoring.verbal import verbal_step
from faceloupe.types import Outcome, format_distinct

_BOUND_TOLERANCE = 5e-3  # log10 LR: a ratio this close to a bound looks like the bound when shown with two decimals


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a report in words.

    Attributes:
        headline: outcome and strength, in a few words.
        sentence: the likelihood ratio in words and, for an inconclusive outcome, why there is no verdict; empty if
            nothing was scored.
        rests_on: the face or track that decided; empty if nothing was scored.
        error_rates: the rates that apply, and the faces that they were measured on; empty if nothing was scored.
    """

    headline: str
    sentence: str
    rests_on: str
    error_rates: str

    @property
    def text(self) -> str:
        """All sentences, in reading order."""
        return " ".join(part for part in (f"{self.headline}.", self.sentence, self.rests_on, self.error_rates) if part)


def finding_of(report: Report, language: str = "en") -> Finding:
    """Put the finding of a report into words.

    Args:
        report: the report of an image or a video.
        language: one of ``locales.LANGUAGES``.

    Raises:
        UsageError: there are no texts in that language.
    """
    texts = texts_in(language)
    if report.score is None or report.log10_lr is None:
        return Finding(texts[f"outcome_{report.outcome}"], "", "", "")
    strength = strength_text(report.log10_lr, texts)
    return Finding(
        headline=_headline(report, strength, texts),
        sentence=_sentence(report, report.score, report.log10_lr, strength, texts),
        rests_on=_rests_on(report, texts),
        error_rates=_error_rates(report, texts),
    )


def strength_text(log10_lr: float, texts: Mapping[str, str]) -> str:
    """Return the words of the verbal scale for a likelihood ratio, with the side that it supports."""
    step = verbal_step(log10_lr)
    if step.above is None:
        return texts["support_none"]
    side = texts["side_manipulation" if log10_lr > 0 else "side_authenticity"]
    return texts["support_for"].format(support=texts[f"support_{step.key}"], side=side)


def between_thresholds(report: Report) -> bool:
    """Return whether the score lies between the thresholds, which leaves the outcome open."""
    thresholds = report.model.thresholds
    return report.score is not None and thresholds.lower < report.score < thresholds.upper


def _is_fusion(report: Report) -> bool:
    return report.model.architecture == FUSION


def _headline(report: Report, strength: str, texts: Mapping[str, str]) -> str:
    if report.outcome is not Outcome.INCONCLUSIVE:
        key = "finding_headline"
    elif between_thresholds(report):
        neither = report.log10_lr is not None and verbal_step(report.log10_lr).above is None
        key = "finding_headline_neither" if neither else "finding_headline_open"
    else:  # the score is beyond a threshold, but another rule forbids a verdict
        return texts["finding_headline_withheld"].format(outcome=texts["outcome_inconclusive"])
    return texts[key].format(outcome=texts[f"outcome_{report.outcome}"], strength=strength)


def _sentence(report: Report, score: float, log10_lr: float, strength: str, texts: Mapping[str, str]) -> str:
    bounds, language = report.model.log10_lr_bounds, texts["language"]
    ratio = 10.0 ** abs(log10_lr)
    number = decimal(ratio, 1 if ratio < 10.0 else 0, language)
    if verbal_step(log10_lr).above is None:
        sentence = texts["finding_neither"]
    else:
        sentence = texts["finding_for" if log10_lr > 0 else "finding_against"].format(ratio=number, strength=strength)
        if min(abs(log10_lr - bounds.lower), abs(log10_lr - bounds.upper)) < _BOUND_TOLERANCE:
            sentence += texts["finding_bounded"]
    sentence += "."
    if report.outcome is not Outcome.INCONCLUSIVE:
        return sentence
    if between_thresholds(report):
        thresholds = report.model.thresholds
        shown, lower, upper = (
            localized(text, language) for text in format_distinct(score, thresholds.lower, thresholds.upper)
        )
        sentence = f"{sentence} {texts['finding_needs'].format(score=shown, lower=lower, upper=upper)}"
        if not (report.is_video and _is_fusion(report)):
            return sentence
        # Evidence that does not exceed the bias of filmed faces counts as none, see ``Fusion.pool_frames``.
        return f"{sentence} {texts['finding_video_none' if log10_lr == 0.0 else 'finding_video']}"
    return f"{sentence} {texts['finding_withheld']}"


def _rests_on(report: Report, texts: Mapping[str, str]) -> str:
    face, language = report.decisive, texts["language"]
    if face is None:
        return ""
    if isinstance(face, Track):
        part = face.segment if face.segment is not None and face.score == face.segment.score else face.whole
        if part is None:
            return ""
        first, last = decimal(part.first_s, 2, language), decimal(part.last_s, 2, language)
        key = "rests_on_track" if len(report.faces) == 1 else "rests_on_track_of"
        return texts[key].format(
            id=face.id, count=len(report.faces), frames=part.frames, first=first, last=last, person=face.person
        )
    scored = sum(other.score is not None for other in report.faces)
    key = "rests_on_face" if scored == 1 else "rests_on_face_of"
    sentence = texts[key].format(id=face.id, count=scored, size=decimal(face.size_px, 0, language))
    if face.heatmap_in_face is None:
        return sentence
    inside = decimal(100.0 * face.heatmap_in_face, 0, language)
    return f"{sentence} {texts['heatmap_lies'].format(inside=inside)}"


def model_rates(report: Report, texts: Mapping[str, str]) -> str:
    """Return the error rates of the model of a report as a sentence, the same for images and videos."""
    rates, language = report.model.error_rates, texts["language"]
    (fpr_low, fpr_high), (fnr_low, fnr_high) = rates.interval_95.fpr, rates.interval_95.fnr
    values = {
        name: percent(share, language)
        for name, share in (
            *(("fpr", rates.fpr), ("fpr_low", fpr_low), ("fpr_high", fpr_high)),
            *(("fnr", rates.fnr), ("fnr_low", fnr_low), ("fnr_high", fnr_high)),
            ("open", rates.inconclusive),
        )
    }
    counts = {"n_real": decimal(rates.n_real, 0, language), "n_fake": decimal(rates.n_fake, 0, language)}
    unseen = report.model.architecture in RATES_OF_UNSEEN
    return texts["rates_unseen" if unseen else "rates_known"].format(**values, **counts)


def _rates_of_size(report: Report, texts: Mapping[str, str]) -> str:
    """Return the rates for faces of the size of the decisive face; empty if the model has none."""
    face, language, of_sizes = report.decisive, texts["language"], report.model.error_rates.by_size
    if face is None or not of_sizes:
        return ""
    x0, y0, x1, y1 = face.box
    index = max(sum(rates.least_px <= max(x1 - x0, y1 - y0) for rates in of_sizes) - 1, 0)
    rates = of_sizes[index]
    if not (rates.n_real and rates.n_fake):
        return ""
    low = decimal(rates.least_px, 0, language)
    if index + 1 < len(of_sizes):
        size = texts["size_span"].format(low=low, high=decimal(of_sizes[index + 1].least_px, 0, language))
    else:
        size = texts["size_open"].format(low=low)
    shares = {
        "accused": rates.accused / rates.n_real,
        "detected": rates.detected / rates.n_fake,
        "cleared": rates.cleared / rates.n_fake,
    }
    return texts["rates_size"].format(
        size=size,
        n_real=decimal(rates.n_real, 0, language),
        n_fake=decimal(rates.n_fake, 0, language),
        **{name: percent(share, language) for name, share in shares.items()},
    )


def _error_rates(report: Report, texts: Mapping[str, str]) -> str:
    rates, language, parts = report.model.error_rates, texts["language"], [model_rates(report, texts)]
    scored = sum(face.score is not None for face in report.faces)
    if report.is_video:
        parts.append(texts["rates_video"])
    elif of_size := _rates_of_size(report, texts):
        parts.append(of_size)
    if scored > 1:
        most = percent(min(1.0, scored * rates.fpr), language)
        parts.append(texts["rates_group"].format(count=scored, most=most))
    return " ".join(parts)


_LARGE_FACE_PX = 200  # the error rates of the default model hardly fall for larger faces, see docs/expert/card.md


class StepKind(StrEnum):
    """A step that an examiner can take next."""

    THOROUGH = "thorough"  # examine again at the highest effort
    SEGMENT = "segment"  # examine the strongest part of the decisive track more densely
    MORE_FRAMES = "more_frames"  # examine the whole video with more frames
    CLOSER = "closer"  # look at the decisive face and its heatmap
    BETTER_COPY = "better_copy"  # obtain the file as it was recorded, or a larger one
    COMPLETE_FILE = "complete_file"  # obtain the file again: this one cannot be read
    ORIGIN = "origin"  # establish where the file comes from
    LENSES = "lenses"  # look at metadata, compression and pixels, which are not part of the score
    SECOND = "second"  # have a second examiner decide independently
    OTHER_METHOD = "other_method"  # the model cannot answer; use another method
    STOP = "stop"  # nothing more can be learned here


@dataclass(frozen=True, slots=True)
class NextStep:
    """A next step: its kind, and the sentence that describes it."""

    kind: StepKind
    text: str


def next_steps(report: Report, language: str = "en") -> tuple[NextStep, ...]:
    """Return the steps that would help most, most useful first, chosen by the outcome and its cause.

    Raises:
        UsageError: there are no texts in that language.
    """
    texts = texts_in(language)
    return tuple(NextStep(kind, texts[_text_key(kind, report)]) for kind in _kinds(report))


def _text_key(kind: StepKind, report: Report) -> str:
    """Return the key of the text of a step; that on a better copy depends on the face that was found."""
    if kind is not StepKind.BETTER_COPY:
        return f"step_{kind}"
    if report.decisive is None:
        return "step_better_copy_no_face"
    return "step_better_copy_large" if report.decisive.size_px >= _LARGE_FACE_PX else "step_better_copy"


_STEPS_BY_OUTCOME = {  # outcomes that determine the next steps
    Outcome.ERROR: [StepKind.COMPLETE_FILE, StepKind.STOP],
    Outcome.NOT_APPLICABLE: [StepKind.BETTER_COPY, StepKind.OTHER_METHOD],
    Outcome.MANIPULATED: [StepKind.CLOSER, StepKind.ORIGIN, StepKind.SECOND],
    Outcome.AUTHENTIC: [StepKind.ORIGIN, StepKind.SECOND],
}


def _kinds(report: Report) -> list[StepKind]:
    if report.outcome in _STEPS_BY_OUTCOME:
        unseen = report.is_video and report.outcome is Outcome.NOT_APPLICABLE
        return [*([StepKind.MORE_FRAMES] if unseen else []), *_STEPS_BY_OUTCOME[report.outcome]]
    # The face is unlike all known ones, the file is damaged, or other viewers show other colors.
    if not between_thresholds(report):
        return [StepKind.OTHER_METHOD, StepKind.BETTER_COPY, StepKind.SECOND]
    # `thorough` analyzes more frames than `standard`; for an image both give the same result.
    raised = ("quick", "standard") if report.is_video else ("quick",)
    effort = [StepKind.THOROUGH] if report.settings.effort in raised else []
    face = report.decisive
    # Only if the whole video was examined: a segment of a segment adds nothing.
    has_segment = isinstance(face, Track) and face.segment is not None and report.segment is None
    closer = [StepKind.SEGMENT] if has_segment else []
    frames = [StepKind.MORE_FRAMES] if report.is_video and not closer else []
    return [*effort, *closer, *frames, StepKind.LENSES, StepKind.BETTER_COPY, StepKind.SECOND]
