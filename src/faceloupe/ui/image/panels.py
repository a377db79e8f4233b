"""Panels of the page Image: the picture with its boxes, a row for each face, and a face enlarged."""

import streamlit as st

from faceloupe.analysis.results import Canvas
from faceloupe.findings import FaceFinding
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.drawing import overlays
from faceloupe.report.schema import ImageFace
from faceloupe.ui import glossary, language, state
from faceloupe.ui.charts import framed_picture
from faceloupe.ui.elements import chart, outcome_mark, plain, sentence
from faceloupe.ui.language import tr

_ROWS_UNFOLDED, _ROWS_HEIGHT = 3, 520  # up to this many rows are fully visible; more scroll in this many pixels
_PICTURE = "framed_picture"
_CLOSER, _CLOSER_PX = 1.5, 560  # side of the enlarged square, in widths of the face's box and in pixels


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
    if entry.stretch != 1.0:
        facts += tr(", shown {stretch:.2f} times as wide as it is (restored)", stretch=entry.stretch)
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
    overlay, all_scored = overlays.enlarged_face(
        canvas, face, maximum, opacity, boxes_wide=_CLOSER, shown_px=_CLOSER_PX
    )
    peak = 0.0 if face.heatmap is None else float(face.heatmap.max())
    st.image(
        overlays.with_scale(overlay, maximum, opacity, language.current()),
        width="stretch",
        alt=tr("Face {id} with its heatmap and the scale of the heatmap", id=face.id),
    )
    shown = (
        tr("All that the deciding network saw, because most of the heatmap lies outside the face.")
        if all_scored
        else tr("The face and its surroundings.")
    )
    st.caption(
        tr(
            "{shown} The heatmap shows what raised the score. Its scale is the same for every picture, so a weak "
            "heatmap looks weak: here its highest value is {peak:.2f}, and the scale ends at {maximum:.2f}. It shows "
            "where the model looked, not where a manipulation is.",
            shown=shown,
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
