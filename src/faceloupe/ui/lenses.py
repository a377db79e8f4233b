"""The lenses in the browser: the choice of a file, and the results."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import streamlit as st

from faceloupe.forensics.results import Fact, Finding, LensPicture, LensSummary, Severity
from faceloupe.media.evidence_file import EvidenceFile, evidence_from_bytes
from faceloupe.report.document.locales import texts_in
from faceloupe.report.drawing.comparison import Window
from faceloupe.report.schema import FileFact, Report
from faceloupe.report.translation import Part, translated, translated_fact
from faceloupe.ui import elements, language, resources, state
from faceloupe.ui.caches import LensKey
from faceloupe.ui.case import filing
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs import session, tasks
from faceloupe.ui.language import mark_for_translation, tr
from faceloupe.web.jobs import Job

_MARKS = {
    Severity.INFO: mark_for_translation(":gray[:material/info:] info"),
    Severity.NOTICE: mark_for_translation(":blue[:material/visibility:] notice"),
    Severity.WARNING: mark_for_translation(":orange[:material/warning:] warning"),
}
_PROBE = "lens_robustness"
_MODES = (mark_for_translation("Side by side"), mark_for_translation("Overlay"))
_OVERLAY_WEIGHT = 0.5  # weight of the picture of the lens


@dataclass(frozen=True, slots=True)
class View:
    """How all pictures of the lenses are shown.

    Attributes:
        mode: one of ``_MODES``.
        window: the part of the picture that is shown.
    """

    mode: str = _MODES[0]
    window: Window = field(default_factory=Window)


def choose() -> EvidenceFile | None:
    """Show the drop zone and the files of the current results; return the file chosen in this run, or None.

    Raises:
        EvidenceError: the upload is empty or too large.
    """
    upload = st.file_uploader(tr("A photo or a video"), key="lens_upload")
    st.toggle(
        tr("Also probe the robustness of the score of a photo"),
        key=_PROBE,
        help=tr("The face is scored again after small changes of the picture. Applies to files chosen from now on."),
    )
    results = {"Image": st.session_state[state.RESULT], "Video": st.session_state[state.VIDEO_RESULT]}
    for page, result in results.items():
        evidence_file = None if result is None else resources.analyses().evidence_file(result)
        if evidence_file is not None and st.button(
            tr("The file on the page {page}: {name}", page=tr(page), name=plain(evidence_file.evidence.name)),
            key=f"lens_{page.lower()}",
            icon=":material/search:",
        ):
            return evidence_file
    if upload is None:
        st.session_state[state.LENS_UPLOAD] = None
    elif upload.file_id != st.session_state[state.LENS_UPLOAD]:
        st.session_state[state.LENS_UPLOAD] = upload.file_id
        st.session_state[state.LENS_RESULT] = st.session_state[state.LENS_NOTICE] = None
        return evidence_from_bytes(upload.getvalue(), upload.name, max_bytes=resources.settings().max_bytes)
    return None


def start(evidence_file: EvidenceFile) -> None:
    """Queue the lenses for a newly chosen file, and clear the previous result.

    Raises:
        WeightsError: the robustness is to be probed, but there are no verified weights.
        UsageError: too many jobs are waiting.
    """
    st.session_state[state.LENS_RESULT] = st.session_state[state.LENS_NOTICE] = None
    evidence = evidence_file.evidence
    key = ("lenses", st.session_state[state.OWNER], evidence.sha256, evidence.name)
    networks = resources.networks() if st.session_state.get(_PROBE) else None
    work = partial(tasks.run_lenses, evidence_file, resources.settings(), resources.lens_views(), networks)
    st.session_state[state.LENS_JOB] = resources.submit_image(key, evidence.name, work).key


def under_way() -> Job | None:
    """Return the job that this session waits for; if it has ended, store its result or a notice."""
    return session.collect(
        resources.short_jobs(),
        job=state.LENS_JOB,
        result=state.LENS_RESULT,
        notice=state.LENS_NOTICE,
        cancelled=tr("The examination of {title} was cancelled; choose the file again."),
    )


def notice() -> None:
    """Show why the last file has no result."""
    elements.notice(state.LENS_NOTICE)


def file_claims(report: Report) -> None:
    """Show what a file says about itself: a line with a link to the page Lenses, findings, and facts in an expander.

    Args:
        report: report on the file; nothing is shown if it states no provenance.
    """
    origin = report.provenance
    if origin is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="origin"):
        st.caption(
            tr(
                "What the file says about itself: Content Credentials {state}, generator {generator}. This never"
                " changes the score.",
                state=_credentials(origin.state),
                generator=_stated(origin.generator, Part.PROGRAM) if origin.generator else tr("none claimed"),
            ),
            width="content",
        )
        st.page_link("../pages/lenses.py", label=tr("Lenses"), icon=":material/search:")
    for claim in origin.claims:
        st.markdown(f"{tr(_MARKS[Severity(claim.severity)])}: {_stated(claim.text)}")
    with st.expander(tr("Read from the file itself")):
        for lens in report.lenses:
            st.markdown(f"**{plain(tr(lens.title))}**")
            st.caption(tr("Does not show: {does_not_show}", does_not_show=plain(tr(lens.does_not_show))))
            if lens.problem:
                st.caption(tr("Not complete: {problem}", problem=_stated(lens.problem)))
            if lens.facts:
                st.markdown(_table(lens.facts))


def show(key: LensKey) -> None:
    """Show the results of each lens for a file.

    Raises:
        CaseError: the cases cannot be read, so it is unknown whether a blind case withholds the result.
    """
    view = resources.lens_views().get(key)
    if view is None:
        st.info(tr("This result is no longer in memory; choose the file again."), icon=":material/history:")
        return
    if filing.withheld(key.evidence_sha256):
        return
    evidence, report = view.evidence, view.report
    st.caption(
        tr(
            "{name}  ·  SHA-256 `{sha256}`  ·  {format}",
            name=plain(evidence.name),
            sha256=evidence.sha256,
            format=evidence.format,
        )
    )
    st.markdown(
        tr(
            "**Content Credentials** {provenance}  ·  **Generator** {generator}",
            provenance=_credentials(report.provenance),
            generator=_stated(report.generator, Part.PROGRAM) if report.generator else tr("none claimed"),
        )
    )
    shown_as = _ask_view() if view.pictures else View()
    for lens in report.lenses:
        _lens(lens, view.original, view.pictures, shown_as)


def _ask_view() -> View:
    mode = st.segmented_control(tr("View"), _MODES, default=_MODES[0], format_func=tr, required=True, key="lens-mode")
    with st.container(horizontal=True):
        zoom = st.slider(tr("Zoom"), 1.0, 16.0, 1.0, 0.5, key="lens-zoom")
        x = y = 0.5
        if zoom > 1.0:
            x = st.slider(tr("Left to right"), 0.0, 1.0, 0.5, 0.01, key="lens-x")
            y = st.slider(tr("Top to bottom"), 0.0, 1.0, 0.5, 0.01, key="lens-y")
    return View(mode, Window(zoom, x, y))


def _lens(lens: LensSummary, original: np.ndarray | None, pictures: dict[str, LensPicture], view: View) -> None:
    with st.container(border=True, key=f"lens-{lens.id}"):
        st.markdown(f"**{plain(tr(lens.title))}**")
        st.caption(
            tr(
                "Shows: {shows}  \nDoes not show: {does_not_show}",
                shows=plain(tr(lens.shows)),
                does_not_show=plain(tr(lens.does_not_show)),
            )
        )
        if lens.problem:
            st.warning(tr("Not complete: {problem}", problem=_stated(lens.problem)), icon=":material/error:")
        for finding in lens.findings:
            _finding(finding)
        if not lens.findings and not lens.pictures and not lens.problem:
            st.markdown(tr("No findings."))
        for scale in lens.pictures:
            _picture(pictures[scale.name], original, view)
        if lens.facts:
            with st.expander(tr("Facts ({count})", count=len(lens.facts))):
                st.markdown(_table(lens.facts))


def _finding(finding: Finding) -> None:
    st.markdown(f"{tr(_MARKS[finding.severity])}: {_stated(finding.text)}")
    rates = finding.rates
    if rates is None:
        st.caption(tr("Rule `{id}`; its rates were not measured.", id=finding.id))
        return
    wrongly = (
        tr(
            "false matches in {false_positives:,} of {negatives:,}",
            false_positives=rates.false_positives,
            negatives=rates.negatives,
        )
        if rates.negatives
        else tr("false matches not measured")
    )
    st.caption(
        tr(
            "Rule `{id}`: correct matches in {true_positives:,} of {positives:,} files, {wrongly}.",
            id=finding.id,
            true_positives=rates.true_positives,
            positives=rates.positives,
            wrongly=wrongly,
        ),
        help=tr("Measured on {measured_on}.", measured_on=_stated(rates.measured_on)),
    )


def _picture(picture: LensPicture, original: np.ndarray | None, view: View) -> None:
    scale, levels = picture.scale, picture.levels
    shows, low, high = (_stated(text, Part.PICTURE) for text in (scale.caption, scale.low, scale.high))
    caption = tr(
        "{caption}. Darkest color: {low}; brightest color: {high}, in every file.", caption=shows, low=low, high=high
    )
    window = view.window if picture.is_spatial else Window()
    part = window.enlarged(picture.rgb)
    if original is not None and picture.is_spatial and view.mode == _MODES[1]:
        over = cv2.addWeighted(window.enlarged(original), 1 - _OVERLAY_WEIGHT, part, _OVERLAY_WEIGHT, 0)
        st.image(over, width="stretch", caption=caption, alt=shows)
    else:
        left, right = st.columns(2)
        if original is not None:
            left.image(window.enlarged(original), width="stretch", caption=tr("the picture"), alt=tr("The picture"))
        right.image(part, width="stretch", caption=caption, alt=shows)
    if picture.is_spatial:
        values = window.cut(levels) / 255
        st.caption(
            tr(
                "In this part: mean {mean:.1%} of the scale, standard deviation {deviation:.1%}, largest {largest:.1%};"
                " in the whole picture: mean {whole:.1%}.",
                mean=values.mean(),
                deviation=values.std(),
                largest=values.max(),
                whole=levels.mean() / 255,
            )
        )


def _table(facts: Sequence[Fact | FileFact]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(map(_row, facts))


def _row(fact: Fact | FileFact) -> str:
    pair = translated_fact(fact.name, fact.value, language.current())
    name, value = (plain(" ".join(text.split())) for text in pair)
    return f"| {name} | {value} |"


def _credentials(state: str) -> str:
    return plain(texts_in(language.current()).get(f"credentials_{state}", state))


def _stated(text: str, part: Part = Part.SENTENCE) -> str:
    """Return a text of a report in the language of this session, escaped for Markdown."""
    return plain(translated(text, language.current(), part))
