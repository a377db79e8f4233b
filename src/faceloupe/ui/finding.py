"""The finding of a report, the facts of its file, and its download: the same for images and videos."""

import streamlit as st

from faceloupe.report.drawing import overlays
from faceloupe.report.file_claims import disagreement
from faceloupe.report.finding import finding_of
from faceloupe.report.numerals import localized
from faceloupe.report.schema import Report, VideoFacts
from faceloupe.report.translation import Part, translated
from faceloupe.ui import glossary, language
from faceloupe.ui.charts import score_ruler
from faceloupe.ui.elements import INKS, capital, chart, ink, plain, sentence
from faceloupe.ui.language import tr

_DAMAGED = " damaged"  # in the notes of a record on a damaged file


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
        headline = f"### :{INKS[report.outcome]}[{overlays.SHAPES[report.outcome]}] {plain(capital(finding.headline))}"
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
        for note in evidence.notes:
            text = plain(translated(note, language.current()))
            if _DAMAGED in note:
                st.warning(text, icon=":material/broken_image:")
            else:
                st.caption(f":material/info: {text}")
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
        tr("Frames analyzed"): tr(
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
