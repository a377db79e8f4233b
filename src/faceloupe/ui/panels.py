"""Panels that several pages use."""

import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from faceloupe.analysis.results import Canvas
from faceloupe.errors import FaceLoupeError
from faceloupe.findings import FaceFinding
from faceloupe.media.evidence_file import printable_name
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.drawing import overlays
from faceloupe.report.file_claims import disagreement
from faceloupe.report.finding import finding_of
from faceloupe.report.numerals import localized
from faceloupe.report.schema import ImageFace, Report, VideoFacts
from faceloupe.report.translation import Part, translated
from faceloupe.types import Outcome
from faceloupe.ui import demo, glossary, language, resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.charts import framed_picture, score_ruler
from faceloupe.ui.language import tr

ICON = Path(__file__).with_name("icon.png")  # a file: Streamlit fetches named icons for the tab from the network
_INKS = {
    Outcome.MANIPULATED: "red",
    Outcome.AUTHENTIC: "green",
    Outcome.INCONCLUSIVE: "orange",
    Outcome.NOT_APPLICABLE: "gray",
    Outcome.ERROR: "gray",
}
_ROWS_UNFOLDED, _ROWS_HEIGHT = 3, 520  # up to this many rows are fully visible; more scroll in this many pixels
_PICTURE = "framed_picture"
_CLOSER, _CLOSER_PX = 1.5, 560  # side of the enlarged square, in widths of the face's box and in pixels
NONE = "\\-"  # a dash that Markdown does not read as a list


# Streamlit turns these into links, icons and arrows even if they are escaped; a zero-width character prevents it.
_JOINER = "\u2060"
_REWRITTEN = re.compile(
    r"www(?=\.)|@(?=\w)|:(?=//|[a-z_+-]|100:|1234:|8ball:|[123](?:st|nd|rd)_)|(?<!\S)[-<>~](?=[-=>]+(?!\S))",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Return a text escaped for Markdown, so that no part of it acts as markup or changes the text direction."""
    text = "\n".join(printable_name(line) for line in text.split("\n"))
    text = _REWRITTEN.sub(lambda match: f"{match[0]}{_JOINER}", text)
    return "".join("\\" + character if character in "\\`*_{}[]()<>#+-.!|~$:&" else character for character in text)


def outcome_mark(outcome: Outcome) -> str:
    """Return the color, shape and name of an outcome, as Markdown."""
    return f":{_INKS[outcome]}[{overlays.SHAPES[outcome]}] {tr(overlays.outcome_words(outcome))}"


def ink() -> str:
    """Return the color of text in drawings that is readable on the background of the theme."""
    return "#E8E8E8" if st.context.theme.type == "dark" else "#1E1E1E"


def chart(figure: go.Figure, *, key: str, alt: str, **options: Any) -> None:
    """Show a figure, with numbers in the style of the session's language.

    Args:
        figure: the figure.
        key: key of the widget.
        alt: alternative text for the figure.
        options: further arguments of ``st.plotly_chart``.
    """
    thousands, point = localized(",", language.current()), localized(".", language.current())
    figure.update_layout(separators=point + thousands)
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key, alt=alt, **options)


def notice(key: str) -> None:
    """Show the outcome of the last action, an icon and a sentence in the session state, if there is one."""
    if st.session_state[key] is not None:
        icon, sentence = st.session_state[key]
        (st.error if icon == "error" else st.info)(plain(sentence), icon=f":material/{icon}:")


def status_line() -> None:
    """Show the line at the top of every page: open case, examiner, model, and whether its weights are verified."""
    try:
        record, problem = resources.networks().scorer.record, ""
        effort = resources.settings().reported_effort
        model = tr(
            "Model {id}{value}", id=plain(record.id), value=tr(", effort {effort}", effort=effort) if effort else ""
        )
        model += tr(
            "  ·  :material/verified: weights verified `{weights_sha256}`", weights_sha256=record.weights_sha256[:8]
        )
    except FaceLoupeError as failure:
        model, problem = tr(":material/error: no verified model, nothing can be scored"), str(failure)
    st.caption(
        tr(
            "**FaceLoupe**  ·  {who}  ·  {model}  ·  {stays}",
            who=_who_and_what(),
            model=model,
            stays=demo.retention_clause(),
        )
    )
    if problem:
        st.error(plain(problem), icon=":material/error:")


def _who_and_what() -> str:
    try:
        case = open_case.case()
    except FaceLoupeError:  # the pages that need the case show the error
        case = None
    try:
        examiner = open_case.examiner()
    except FaceLoupeError:  # likewise
        examiner = ""
    opened = tr("Case **{name}** `{id}`", name=plain(short(case.name)), id=case.id) if case else tr("no case open")
    who = tr("Examiner {name}", name=plain(short(examiner))) if examiner else tr("no examiner")
    return f"{opened}  ·  {who}"


def short(text: str, most: int = 40) -> str:
    """Return a text, shortened to ``most`` characters if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def verdict_card(report: Report) -> None:
    """Show the finding as text, the score on its ruler, and the limits of the finding."""
    evidence, model, finding = report.evidence, report.model, finding_of(report, language.current())
    with st.container(border=True, key="verdict"):
        st.caption(
            tr(
                "{name}  ·  SHA-256 `{sha256}`…  ·  model {id} `{weights_sha256}`",
                name=plain(evidence.name),
                sha256=evidence.sha256[:16],
                id=plain(model.id),
                weights_sha256=model.weights_sha256[:8],
            )
        )
        headline = (
            f"### :{_INKS[report.outcome]}[{overlays.SHAPES[report.outcome]}] {plain(_capital(finding.headline))}"
        )
        if report.score is None:
            st.markdown(headline)
            st.markdown(sentence(report.reason))
        else:
            left, right = st.columns([1.5, 1.0], gap="medium", vertical_alignment="center")
            with left:
                st.markdown(headline)
                st.markdown(f"{plain(finding.sentence)} {plain(finding.rests_on)}", help=_ratio_help(report))
            with right:
                chart(
                    score_ruler(report, ink=ink()),
                    key="ruler",
                    alt=tr("Score {score:.2f} on a scale from 0, authentic, to 1, manipulated", score=report.score),
                )
            st.caption(
                plain(finding.error_rates),
                help=tr(
                    "Measured on {measured_on}.",
                    measured_on=plain(translated(model.error_rates.measured_on, language.current())),
                ),
            )
            st.caption(
                tr(
                    "Rule applied: {reason} log10 LR {log10_lr:+.2f}.",
                    reason=sentence(report.reason),
                    log10_lr=report.log10_lr,
                ),
                help=tr(
                    "{meaning} log10 LR: {meaning2}",
                    meaning=glossary.meaning("Thresholds"),
                    meaning2=glossary.meaning("log10 LR"),
                ),
            )
        if contradiction := disagreement(report, language.current()):
            st.warning(plain(contradiction), icon=":material/compare_arrows:")
        with st.expander(tr("What this result does not say")):
            st.markdown("\n".join(f"- {plain(translated(line, language.current()))}" for line in report.scope))
            st.markdown(
                tr(
                    "The two propositions compared: {manipulated} {authentic} Kinds: {kinds}.",
                    manipulated=plain(translated(report.propositions.manipulated, language.current())),
                    authentic=plain(translated(report.propositions.authentic, language.current())),
                    kinds=plain(translated(report.propositions.kinds, language.current(), Part.KINDS)),
                )
            )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ratio_help(report: Report) -> str:
    bounds = report.model.log10_lr_bounds
    return tr(
        "This number is the likelihood ratio (LR): how much more probable the score is under one of two "
        "propositions than under the other. Here log10 LR is {log10_lr:+.2f}. It is limited to "
        "{lower:.2f} .. {upper:.2f}, the range that the validation data support. It is not the "
        "probability that the face was manipulated: that also depends on everything else known about the"
        " case.",
        log10_lr=report.log10_lr,
        lower=bounds.lower,
        upper=bounds.upper,
    )


def sentence(text: str) -> str:
    """Return a reason of a report as a sentence in the language of this session, escaped for Markdown."""
    return plain(_capital(translated(text, language.current())).rstrip(".") + ".")


def face_rows(analysis: ReportedAnalysis, chosen: FaceFinding | None) -> None:
    """Show one row per face, the decisive one first; faces without a score are in an expander.

    Args:
        analysis: analysis of an image.
        chosen: the face that is already shown enlarged, or None.
    """
    decisive = analysis.report.decisive_id
    pairs = list(zip(analysis.faces, analysis.report.image_faces, strict=True))
    scored = [pair for pair in pairs if pair[0].score is not None]
    scored.sort(key=lambda pair: (pair[0].id != decisive, -(pair[0].score or 0.0)))
    unscored = [pair for pair in pairs if pair[0].score is None]
    with st.container(height=_ROWS_HEIGHT if len(scored) > _ROWS_UNFOLDED else "content", border=False):
        for face, entry in scored:
            _face_row(analysis, face, entry, chosen, decides=len(scored) > 1 and face.id == decisive)
    if unscored:
        spots = (
            tr("1 spot that was not scored")
            if len(unscored) == 1
            else tr("{count} spots that were not scored", count=len(unscored))
        )
        with st.expander(
            tr("{spots}: too small, too blurred or not sure to be a face", spots=spots), expanded=not scored
        ):
            for face, entry in unscored:
                _face_row(analysis, face, entry, chosen)


def _face_row(
    analysis: ReportedAnalysis,
    face: FaceFinding,
    entry: ImageFace,
    chosen: FaceFinding | None,
    *,
    decides: bool = False,
) -> None:
    maximum, canvas = analysis.report.model.explanation_max, analysis.canvas
    with st.container(border=True, key=f"row-{face.id}"):
        pictures, description = st.columns([1.2, 1.0], vertical_alignment="center")
        with pictures:
            if face.heatmap is None or canvas is None:
                st.caption(tr("not scored"))
            else:
                alone, heatmap = st.columns(2, gap="small")
                alone.image(
                    overlays.surroundings(canvas, face, maximum, 0.0),
                    caption=tr("face and surroundings"),
                    alt=tr("Face {id} and its surroundings", id=face.id),
                )
                heatmap.image(
                    overlays.surroundings(canvas, face, maximum, 0.7),
                    caption=tr("heatmap, 0 to {maximum:.2f}+", maximum=maximum),
                    alt=tr("Heatmap of face {id}", id=face.id),
                )
        with description:
            st.markdown(tr("**Face {id}**  {outcome_mark}", id=face.id, outcome_mark=outcome_mark(face.outcome)))
            if decides:
                st.markdown(tr(":material/arrow_forward: This face decides the outcome of the picture."))
            st.caption(
                _face_facts(entry), help=glossary.meaning("Kinds of manipulation") if entry.propositions else None
            )
            if face.heatmap is not None and face is not chosen:
                st.button(tr("Show closer"), key=f"choose-{face.id}", on_click=_choose, args=(face.id,))


def _choose(face_id: int) -> None:
    st.session_state[state.FACE] = face_id


def _face_facts(entry: ImageFace) -> str:
    facts = tr(
        "{size_px:.0f} px wide, detector confidence {detection_confidence:.2f}",
        size_px=entry.size_px,
        detection_confidence=entry.detection_confidence,
    )
    if entry.yaw_deg is not None:
        facts += tr(", roll {roll:+.0f}°, yaw about {yaw:+.0f}°", roll=entry.roll_deg, yaw=entry.yaw_deg)
    if entry.score is None:
        return tr(
            "{reason} {facts}, sharpness {sharpness:.0f}.",
            reason=sentence(entry.reason),
            facts=facts,
            sharpness=entry.sharpness,
        )
    kinds = "".join(
        tr(" {kind}: log10 LR {log10_lr:+.2f}.", kind=tr(part.name).capitalize(), log10_lr=part.log10_lr)
        for part in entry.propositions
    )
    score = tr("Score {score:.2f}, log10 LR {log10_lr:+.2f}.", score=entry.score, log10_lr=entry.log10_lr)
    return tr(
        "{score}{kinds} {facts}, sharpness {sharpness:.0f}.",
        score=score,
        kinds=kinds,
        facts=facts,
        sharpness=entry.sharpness,
    )


def source_picture(analysis: ReportedAnalysis, chosen: FaceFinding | None) -> None:
    """Show the picture with numbered boxes colored by outcome, with or without the heatmaps."""
    maximum, canvas = analysis.report.model.explanation_max, analysis.canvas
    if canvas is None:  # the file could not be decoded
        return
    explained = [face for face in analysis.faces if face.heatmap is not None]
    with_heat = bool(explained) and st.toggle(tr("Show the heatmaps over the picture"), key="with_heat")
    if with_heat:
        overlay = overlays.source_overlay(canvas, analysis.faces, maximum, 0.7)
        picture = overlays.with_scale(overlay, maximum, 0.7, language.current())
    else:
        picture = overlays.boxes(canvas, analysis.faces, chosen=chosen.id if chosen else None)
    name = plain(analysis.report.evidence.name)
    count = sum(face.score is not None for face in analysis.faces)
    summary = (
        tr("no face scored")
        if not count
        else tr("1 face scored")
        if count == 1
        else tr("{count} faces scored", count=count)
    )
    if others := len(analysis.faces) - count:
        summary += (
            tr(", 1 further spot not scored")
            if others == 1
            else tr(", {others} further spots not scored", others=others)
        )
    if with_heat or len(explained) < 2:
        st.image(
            picture,
            width="stretch",
            caption=f"{name}, {summary}",
            alt=tr("The picture with {summary} framed", summary=summary),
        )
        return
    chart(
        framed_picture(picture, canvas.scale, explained),
        key=_PICTURE,
        on_select=_choose_in_picture,
        selection_mode="points",
        alt=tr("The picture with {summary} framed; the rows beside it hold a button for each face", summary=summary),
    )
    st.caption(tr("{name}, {summary}. Click a face to see it closer.", name=name, summary=summary))


def _choose_in_picture() -> None:
    points = st.session_state[_PICTURE]["selection"]["points"]
    if points:
        clicked = points[0]["customdata"]
        _choose(clicked[0] if isinstance(clicked, list) else clicked)


def closer_look(canvas: Canvas, face: FaceFinding, maximum: float) -> None:
    """Show a face of a picture enlarged, with an opacity slider and the fixed scale."""
    st.markdown(tr("**Face {id}, closer** {outcome_mark}", id=face.id, outcome_mark=outcome_mark(face.outcome)))
    opacity = st.slider(
        tr("Opacity of the heatmap"),
        0.0,
        1.0,
        st.session_state[state.OPACITY],
        0.05,
        key="opacity_slider",
        on_change=_keep_opacity,
    )
    overlay = overlays.surroundings(canvas, face, maximum, opacity, boxes_wide=_CLOSER, shown_px=_CLOSER_PX)
    peak = 0.0 if face.heatmap is None else float(face.heatmap.max())
    st.image(
        overlays.with_scale(overlay, maximum, opacity, language.current()),
        width="stretch",
        alt=tr("Face {id} with its heatmap and the scale of the heatmap", id=face.id),
    )
    st.caption(
        tr(
            "The face and its surroundings, with a heatmap of what raised the score. The scale is the same for "
            "every picture, so a weak heatmap looks weak; this face peaks at {peak:.2f}, the scale ends at "
            "{maximum:.2f}. It shows where the model looked, not where a manipulation is.",
            peak=peak,
            maximum=maximum,
        ),
        help=tr(
            "{meaning} The numbers are logits per cell. {meaning2}",
            meaning=glossary.meaning("Heatmap (Grad-CAM)"),
            meaning2=glossary.meaning("Logit"),
        ),
    )


def _keep_opacity() -> None:
    st.session_state[state.OPACITY] = st.session_state["opacity_slider"]


def file_facts(report: Report) -> None:
    """Show the identity and properties of the file in an expander."""
    evidence = report.evidence
    rows = {
        tr("Name"): plain(evidence.name),
        tr("SHA-256"): f"`{evidence.sha256}`",
        tr("Size"): tr("{size_bytes:,} bytes", size_bytes=evidence.size_bytes),
        tr("Content"): f"{evidence.format or tr('not recognized')}, "
        + (
            tr("{width} x {height} px", width=evidence.width, height=evidence.height)
            if evidence.width
            else tr("not decoded")
        ),
    }
    if report.video is not None:
        rows |= _video_facts(report, report.video)
    rows |= {
        tr("Examined"): report.created_utc,
        tr("Time"): localized(f"{report.timing.total_s:.2f} s", language.current()),
    }
    with st.expander(tr("Facts of the file")):
        st.markdown("| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in rows.items()))
        for note in evidence.notes:
            st.caption(plain(translated(note, language.current())))


def _video_facts(report: Report, video: VideoFacts) -> dict[str, str]:
    evidence, frames = report.evidence, report.frames
    rate = tr("not stated") if video.frame_rate is None else tr("{frame_rate} frames/s", frame_rate=video.frame_rate)
    lasts = tr("not known")
    if evidence.duration_s is not None:
        lasts = localized(f"{evidence.duration_s:.3f} s", language.current())
    steadiness = tr("variable: the time between frames differs") if video.variable_frame_rate else tr("constant")
    unread = len(report.unread_frames)
    return {
        tr("Container"): plain(video.container),
        tr("Codec"): f"{plain(video.codec)}, {plain(video.pixel_format)}",
        tr("Duration"): tr("{lasts}, {frame_count:,} frames", lasts=lasts, frame_count=evidence.frame_count),
        tr("Frame rate"): f"{rate}, {steadiness}",
        tr("Rotation"): tr("{rotation} degrees clockwise", rotation=video.rotation) if video.rotation else tr("none"),
        tr("Audio"): plain(", ".join(video.audio)) or tr("none"),
        tr("Looked at"): tr(
            "{count} frames, {time_s:.2f} s to {time_s2:.2f} s",
            count=len(frames),
            time_s=frames[0].time_s,
            time_s2=frames[-1].time_s,
        )
        + (tr("; {unread} more could not be decoded", unread=unread) if unread else ""),
    }


def downloads(report: Report) -> None:
    """Show the download of the canonical report."""
    st.download_button(
        tr("Download the JSON report"),
        data=lambda: report.to_json().encode(),
        file_name=f"faceloupe-{report.evidence.sha256[:12]}.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="download_json",
    )
