"""Panels of the page Video: the timeline, a frame, the people, a segment, and the downloads."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from faceloupe.analysis.pipeline import FrameExplanation, explain_frame
from faceloupe.analysis.results import Canvas
from faceloupe.config import is_demo
from faceloupe.errors import EvidenceError, UsageError
from faceloupe.findings import FaceFinding, TrackFinding
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.drawing import overlays
from faceloupe.report.drawing.filmstrip import chosen_observations, filmstrip
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import PersonShots, Report, ScoreThresholds
from faceloupe.report.spreadsheet import ENCODING
from faceloupe.report.tables import frames_csv, track_columns
from faceloupe.report.timeline import analyzed_span
from faceloupe.report.translation import translated
from faceloupe.ui import elements, finding, language, resources, state
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.elements import outcome_mark, plain, sentence
from faceloupe.ui.jobs import tasks
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import current, tr
from faceloupe.ui.video import input
from faceloupe.ui.video.timeline import height, timeline
from faceloupe.web.jobs import Job, State

_TIMELINE_HEIGHT, _STRIPS_HEIGHT, _STRIPS_UNFOLDED = 560, 520, 4  # pixels, pixels, tracks
_FACES_HEIGHT, _FACE_SIDE, _OPACITY = 430, 260, 0.7  # pixels, pixels, share
_SHORTEST_S = 0.1  # shorter videos offer no segment to analyze
_CHART = "timeline"


def timeline_panel(analysis: ReportedAnalysis) -> None:
    """Show the timeline; a click on a point shows its frame below."""
    report = analysis.report
    tall = height(report)
    with st.container(height=_TIMELINE_HEIGHT if tall > _TIMELINE_HEIGHT else "content", border=False):
        elements.chart(
            timeline(report, _thumbs(analysis), chosen=shown(report)),
            key=_CHART,
            on_select=_choose_point,
            selection_mode="points",
            alt=tr(
                "Scores of {count} tracks over time; the table of tracks below holds the numbers",
                count=len(analysis.tracks),
            ),
        )
    st.caption(
        tr(
            "Each point is a frame; select one to see it. Band: 95 % interval of the whole track. Thick bar:"
            " the strongest segment, if it reaches the upper threshold. Dotted: a cut. Hatched: not scored."
        )
    )


def _thumbs(analysis: ReportedAnalysis) -> dict[int, bytes]:
    """Return a thumbnail of each person: the strongest or largest frame of the track with the most observations."""
    longest: dict[int, bytes] = {}
    for track in sorted(analysis.tracks, key=lambda track: len(track.observations)):
        longest[track.person] = (track.strongest or track.largest).thumb
    return longest


def _choose_point() -> None:
    points = st.session_state[_CHART]["selection"]["points"]
    if points and "customdata" in points[0]:
        index, track = points[0]["customdata"][:2]
        _show(int(index), int(track))


def _show(index: int, track: int) -> None:
    st.session_state[state.VIDEO_SHOWN] = (index, track)


def shown(report: Report) -> tuple[int, int]:
    """Return the index of the shown frame, and the id of the track it is shown for, 0 for none.

    Before the user selects a frame, it is that of the decisive track, of the first track, or the first frame.
    """
    chosen: tuple[int, int] | None = st.session_state[state.VIDEO_SHOWN]
    if chosen:
        return chosen
    track = next((track for track in report.tracks if track.id == report.decisive_id), None)
    track = track or next(iter(report.tracks), None)
    return (track.shown_frame.index, track.id) if track else (report.frames[0].index, 0)


def frame_panel(key: AnalysisKey, analysis: ReportedAnalysis) -> None:
    """Show one frame with its boxes, and each face in it with its heatmap."""
    index, track = shown(analysis.report)
    _steps(analysis.report, index, track)
    try:
        view = _view(key, analysis, index)
    except EvidenceError as problem:
        st.error(plain(str(problem)), icon=":material/error:")
        return
    _strongest_line(analysis.report, index, track)
    left, right = st.columns([1.05, 1.0] if view.faces else [1.0, 0.001], gap="medium")
    left.image(
        overlays.boxes(Canvas.of(view.rgb), view.faces, chosen=track),
        width="stretch",
        alt=tr("Frame {index} with {count} faces framed", index=index, count=len(view.faces)),
        caption=tr(
            "Frame {index} at {time_s:.3f} s; boxes are colored by the score of this frame alone",
            index=index,
            time_s=view.time_s,
        ),
    )
    with right, st.container(height=_FACES_HEIGHT if len(view.faces) > 1 else "content", border=False):
        for face in sorted(view.faces, key=lambda face: (face.id != track, face.id)):
            _face(face, analysis.report.model.explanation_max)


def _strongest_line(report: Report, index: int, track_id: int) -> None:
    """Show a caution on the strongest frame of a track: a single frame errs more often than the whole track."""
    track = next((track for track in report.tracks if track.id == track_id), None)
    if track is None or track.score is None or track.shown_frame.index != index:
        return
    faces = [face for frame in report.frames for face in [frame.face(track_id)] if face and face.score is not None]
    by_expert = sum(face.by_expert for face in faces)
    strongest = (
        tr(
            "Of the {count} frames of track {track} that the expert analyzed, this one has the highest score.",
            count=by_expert,
            track=track_id,
        )
        if by_expert
        else tr(
            "Of the {count} scored frames of track {track}, this one has the highest score.",
            count=len(faces),
            track=track_id,
        )
    )
    st.caption(
        tr(
            "{strongest} A single frame errs more often than the whole track, whose outcome is {outcome}.",
            strongest=strongest,
            outcome=outcome_mark(track.outcome),
        )
    )


def _view(key: AnalysisKey, analysis: ReportedAnalysis, index: int) -> FrameExplanation:
    frames = resources.frames()
    view = frames.get((key, index))
    if view is None:
        evidence_file = resources.analyses().evidence_file(key)
        if evidence_file is None:
            raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
        with st.spinner(tr("Decoding and explaining the frame")):
            model = analysis.report.model.id  # another model may be in use by now
            networks = resources.networks(replace(resources.settings(), model=model))
            view = explain_frame(evidence_file, analysis.analysis, index, networks)
        frames.put((key, index), view)
    return view


def _steps(report: Report, index: int, track: int) -> None:
    """Show buttons to the previous and next analyzed frame, with the arrow keys as shortcuts."""
    indices = [frame.index for frame in report.frames]
    position = indices.index(index)
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, shortcut, to in (
            (tr("Previous frame"), "Left", position - 1),
            (tr("Next frame"), "Right", position + 1),
        ):
            st.button(
                label,
                key=f"step-{shortcut}",
                shortcut=shortcut,
                disabled=not 0 <= to < len(indices),
                on_click=_show,
                args=(indices[min(max(to, 0), len(indices) - 1)], track),
            )
        st.caption(
            tr("frame {position} of {count} analyzed", position=position + 1, count=len(indices)), width="content"
        )


def _face(face: FaceFinding, maximum: float) -> None:
    with st.container(border=True, key=f"frame-face-{face.id}"):
        st.markdown(
            tr("**Track {id}**, this frame alone: {outcome_mark}", id=face.id, outcome_mark=outcome_mark(face.outcome))
        )
        facts = tr(
            "{size_px:.0f} px wide, detector confidence {detection_confidence:.2f}",
            size_px=face.size_px,
            detection_confidence=face.detection_confidence,
        )
        if face.score is None or face.crop is None:
            st.caption(f"{sentence(face.reason)} {plain(facts)}.")
            return
        crop, heatmap = st.columns(2, gap="small")
        crop.image(
            overlays.enlarged(face.crop, _FACE_SIDE),
            width="stretch",
            alt=tr("Track {id} in this frame, as scored", id=face.id),
        )
        overlay = overlays.enlarged(overlays.face_overlay(face, maximum, _OPACITY), _FACE_SIDE)
        heatmap.image(
            overlays.with_scale(overlay, maximum, _OPACITY, language.current()),
            width="stretch",
            alt=tr("Heatmap of track {id}", id=face.id),
        )
        st.caption(
            tr(
                "The crop, as scored, and its heatmap. Score {score:.2f}, log10 LR {log10_lr:+.2f}. {facts}.",
                score=face.score,
                log10_lr=face.log10_lr,
                facts=facts,
            )
        )


def people_panel(analysis: ReportedAnalysis) -> None:
    """Show each person, the decisive one first, with a filmstrip per track, and a table of all tracks."""
    st.subheader(tr("People"))
    st.caption(
        tr(
            "Shots that look alike are linked to one person; a verdict on a person names the shots that agree. A "
            "track is one person in one shot. Each frame has the color of its own score; the text has the color of "
            "the whole track."
        )
    )
    report, tracks = analysis.report, {track.id: track for track in analysis.tracks}
    for person in report.people_with_shots:
        scored = [tracks[track.id] for track in person.tracks if track.score is not None]
        if scored:
            scored.sort(key=lambda track: (track.id != report.decisive_id, -(track.score or 0.0)))
            _person(person, scored, report.model.thresholds)
    unscored = [track for track in analysis.tracks if track.score is None]
    if unscored:
        with st.expander(
            tr("Tracks that were not scored: {count}", count=len(unscored)), expanded=len(unscored) == len(tracks)
        ):
            for track in unscored:
                _strip(track, report.model.thresholds)
    _track_table(report)


def _track_table(report: Report) -> None:
    columns = track_columns(report)
    columns["outcome"] = [
        f"{overlays.SHAPES[track.outcome]} {tr(outcome_words(track.outcome))}" for track in report.tracks
    ]
    columns["reason"] = [translated(track.reason, language.current()) for track in report.tracks]
    column, number = st.column_config.Column, st.column_config.NumberColumn
    st.dataframe(
        columns,
        hide_index=True,
        column_config={
            "track": column(tr("track")),
            "person": column(tr("person")),
            "outcome": column(tr("outcome")),
            "score": number(tr("score"), format="%.2f"),
            "95 % interval": column(tr("95 % interval")),
            "log10 LR": number(format="%+.2f"),
            "effective frames": number(tr("effective frames"), format="%.1f"),
            "first seen, s": number(tr("first seen, s"), format="%.2f"),
            "last seen, s": number(tr("last seen, s"), format="%.2f"),
            "scored / found": column(tr("scored / found")),
            "reason": column(tr("reason")),
        },
        placeholder="-",
        alt=tr("All tracks with outcome, score, interval, likelihood ratio and times"),
    )


def _person(person: PersonShots, scored: Sequence[TrackFinding], thresholds: ScoreThresholds) -> None:
    """Show the pooled result of a person, and a filmstrip of each scored track."""
    number = person.person.id
    with st.container(border=True, key=f"person-{number}"):
        shots = tr("1 shot") if len(person.tracks) == 1 else tr("{count} shots", count=len(person.tracks))
        score = "" if person.pooled is None else tr(", score {score:.2f}", score=person.pooled.score)
        outcome = "" if person.outcome is None else f" {outcome_mark(person.outcome)}{score}"
        st.markdown(tr("**Person {number}**, {shots}:{outcome}", number=number, shots=shots, outcome=outcome))
        if person.reason:
            st.caption(sentence(person.reason))
        with st.container(height=_STRIPS_HEIGHT if len(scored) > _STRIPS_UNFOLDED else "content", border=False):
            for track in scored:
                _strip(track, thresholds)


def _strip(track: TrackFinding, thresholds: ScoreThresholds) -> None:
    """Show a track in one line, and its filmstrip."""
    best = track.strongest or track.largest
    with st.container(horizontal=True, vertical_alignment="center"):
        score = "" if track.score is None else tr(", score {score:.2f}", score=track.score)
        st.markdown(
            tr(
                "**Track {id}**, shot {shot}: {outcome_mark}{score}",
                id=track.id,
                shot=track.shot,
                outcome_mark=outcome_mark(track.outcome),
                score=score,
            ),
            width="content",
        )
        st.button(
            tr("Show its strongest frame") if track.strongest else tr("Show its largest frame"),
            key=f"strongest-{track.id}",
            type="tertiary",
            on_click=_show,
            args=(best.frame, track.id),
        )
    st.image(filmstrip(track, thresholds, language.current()), alt=strip_in_words(track))


def strip_in_words(track: TrackFinding) -> str:
    """Return the alternative text of the filmstrip of a track."""
    observations = chosen_observations(track)
    scores = (observation.score for observation in observations)
    return tr(
        "{count} small pictures of track {id}, from {start_s:.2f} s to {end_s:.2f} s, with the scores {scores}",
        count=len(observations),
        id=track.id,
        start_s=observations[0].time_s,
        end_s=observations[-1].time_s,
        scores="; ".join(
            tr("not scored") if score is None else decimal(score, 2, language.current()) for score in scores
        ),
    )


def segment_line(key: AnalysisKey, report: Report) -> None:
    """Show which segment was analyzed, and a button back to the whole video; show nothing for a whole video."""
    if report.segment is None:
        return
    whole = st.session_state[state.VIDEO_WHOLE]
    with st.container(horizontal=True, vertical_alignment="center"):
        if whole is not None and whole != key:
            st.button(
                tr("Back to the whole video"), key="back", icon=":material/arrow_back:", on_click=input.back_to_whole
            )
        start_s, end_s = report.segment.start_s, report.segment.end_s
        st.markdown(
            tr(
                "Only {start_s:.2f} s to {end_s:.2f} s were analyzed; the verdict applies to this segment alone.",
                start_s=start_s,
                end_s=end_s,
            )
        )


def closer_panel(key: AnalysisKey, report: Report) -> None:
    """Offer to analyze a segment of the video with more frames."""
    begin, end = analyzed_span(report)
    if end - begin < _SHORTEST_S:
        return
    with st.expander(tr("Analyze a segment")):
        from_s, to_s = st.slider(
            tr("Segment, seconds"),
            begin,
            end,
            (begin, end),
            0.01,
            key=f"segment-{key.evidence_sha256}-{key.settings_digest}",
        )
        count, button = st.columns([4, 1], vertical_alignment="bottom")
        frames = count.number_input(tr(input.FRAMES_LABEL), 0, input.MOST_FRAMES, 0, key="closer_frames")
        button.button(
            tr("Analyze closer"),
            key="closer",
            on_click=input.look_closer,
            args=(key, from_s, to_s, int(frames), report.settings.effort),
            disabled=to_s <= from_s,
            width="stretch",
        )


def downloads(key: AnalysisKey, report: Report) -> None:
    """Show downloads of the report, the table of frames and the annotated copy."""
    with st.container(horizontal=True):
        finding.downloads(report)
        if not report.is_video:
            return
        st.download_button(
            tr("Download the frames as CSV"),
            data=lambda: frames_csv(report).encode(ENCODING),
            file_name=f"faceloupe-{key.evidence_sha256[:12]}-frames.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download_frames",
        )
        if is_demo():  # a copy would be stored on the disk
            return
        job = resources.long_jobs().get(_copy_key(key))
        _copy(key, job)
    if job is not None and job.live:
        job_line(job)
    elif job is not None and job.state is State.FAILED:
        st.error(plain(job.error), icon=":material/error:")


def _copy(key: AnalysisKey, job: Job | None) -> None:
    path = tasks.copy_path(resources.copies(), key, current())
    if path.exists():
        st.download_button(
            tr("Download the annotated copy"),
            data=path.read_bytes,
            file_name=f"faceloupe-{key.evidence_sha256[:12]}-annotated.mp4",
            mime="video/mp4",
            icon=":material/download:",
            on_click="ignore",
            key="download_copy",
        )
    elif job is None or not job.live:
        st.button(
            tr("Create an annotated copy"),
            key="make_copy",
            icon=":material/movie_edit:",
            on_click=_make_copy,
            args=(key,),
            help=tr(
                "An MP4 of the analyzed segment with boxes and scores drawn in, without sound. It is not evidence."
            ),
        )


def _make_copy(key: AnalysisKey) -> None:
    language = current()
    path = tasks.copy_path(resources.copies(), key, language)
    annotate = partial(
        tasks.annotate, key, resources.analyses(), path, language=language, settings=resources.settings()
    )
    try:
        resources.submit(_copy_key(key), tr("Annotated copy of {name}", name=key.name), annotate)
    except UsageError as problem:
        st.session_state[state.VIDEO_NOTICE] = ("error", str(problem))


def _copy_key(key: AnalysisKey) -> tuple[str, str, AnalysisKey]:
    return "annotated copy", current(), key
