"""One item of a case: its findings and pictures."""

from collections.abc import Mapping

import streamlit as st

from faceloupe.analysis.pipeline import previews
from faceloupe.cases.records import Case, Item
from faceloupe.errors import EvidenceError, ReportError
from faceloupe.report.numerals import localized
from faceloupe.ui import lenses, resources
from faceloupe.ui.case import filing, open_case, similar
from faceloupe.ui.elements import plain
from faceloupe.ui.finding import verdict_card
from faceloupe.ui.language import current, tr

_CROP, _EVIDENCE, _FRAMES_A_ROW = 150, 560, 4  # pixels, pixels
_MOST_CROPS, _MOST_STRIPS = 24, 8


def findings(case: Case, sha256: str) -> None:
    """Show an item, and its runs if the examiner may see them."""
    store, examiner = resources.cases(), open_case.examiner()
    item = store.items.get(case.id, sha256, viewer=examiner)
    st.subheader(plain(item.name))
    st.caption(
        tr(
            "SHA-256 `{sha256}`  ·  {size_bytes:,} bytes  ·  filed by {added_by}",
            sha256=item.sha256,
            size_bytes=item.size_bytes,
            added_by=plain(item.added_by),
        )
    )
    if filing.withheld(sha256):
        _evidence(item)
        return
    finding = store.runs.finding(case.id, sha256)
    if finding is None:
        st.markdown(tr("This item was filed but not analyzed."))
        _evidence(item)
        return
    store.reviews.view_score(case.id, sha256, examiner=examiner)  # logged before it is shown
    runs = {run.id: run for run in reversed(store.runs.of_item(case.id, sha256))}
    chosen = finding.id
    if len(runs) > 1:
        chosen = st.selectbox(
            tr("Run"),
            list(runs),
            index=list(runs).index(finding.id),
            format_func=lambda run_id: f"{run_id}, {runs[run_id].created_utc[:19]}Z",
            key=f"run-{sha256}",
        )
        store.reviews.view_run(case.id, sha256, chosen, examiner=examiner)
    try:
        report = store.runs.report(chosen)
    except ReportError as problem:  # decisions, notes and signatures are still shown
        st.error(
            plain(tr("The report of run {chosen} cannot be shown: {problem}", chosen=chosen, problem=problem)),
            icon=":material/error:",
        )
        return
    verdict_card(report)
    lenses.file_claims(report)
    similar.panel(sha256)
    if report.unknown:
        st.caption(
            tr("Fields of the report that this release does not know: {names}.", names=plain(", ".join(report.unknown)))
        )
    _pictures(runs[chosen].pictures)


def _evidence(item: Item) -> None:
    """Show the evidence itself: the picture, or frames of the video."""
    try:
        seen = resources.previews().get(item.sha256)
        if seen is None:
            settings = resources.settings()
            with st.spinner(tr("Decoding")):
                evidence_file = resources.cases().items.open_evidence(
                    item.sha256, name=item.name, max_bytes=settings.max_bytes
                )
                seen = previews(evidence_file, settings=settings)
            resources.previews().put(item.sha256, seen)
    except EvidenceError as problem:
        st.caption(plain(str(problem)))
        return
    if seen[0].time_s is None:
        st.image(
            seen[0].rgb,
            caption=tr("The evidence, as it was decoded"),
            width=_EVIDENCE,
            alt=tr("The evidence {name}", name=item.name),
        )
        return
    cells = st.columns(_FRAMES_A_ROW)
    for number, preview in enumerate(seen):
        cells[number % _FRAMES_A_ROW].image(
            preview.rgb,
            caption=localized(f"{preview.time_s:.2f} s", current()),
            width="stretch",
            alt=tr("Frame at {time_s:.2f} s", time_s=preview.time_s),
        )
    st.caption(tr("{count} frames of the evidence, spread evenly over the video.", count=len(seen)))


def _pictures(digests: Mapping[str, str]) -> None:
    fetch = resources.cases().runs.picture
    small = [name for name in digests if name.endswith(("-face.png", "-crop.png", "-heatmap.png"))]  # of single faces
    strips = [name for name in digests if name.endswith("-filmstrip.png")]
    with st.expander(tr("Pictures of the run"), expanded=bool(digests)):
        if not digests:
            st.caption(tr("This run has no pictures: no face was found, or its result was filed from a batch."))
        for cell, name in zip(st.columns(3), (name for name in digests if name not in small and name not in strips)):
            cell.image(fetch(digests[name]), caption=_caption(name), alt=_caption(name))
        for name in strips[:_MOST_STRIPS]:
            st.image(fetch(digests[name]), caption=_caption(name), alt=_caption(name))
        with st.container(horizontal=True):
            for name in small[:_MOST_CROPS]:
                st.image(fetch(digests[name]), caption=_caption(name), alt=_caption(name), width=_CROP)
        if len(small) > _MOST_CROPS or len(strips) > _MOST_STRIPS:
            st.caption(
                tr(
                    "Only some of the {count:,} pictures are shown; an exported bundle contains all of them.",
                    count=len(digests),
                )
            )


def _caption(name: str) -> str:
    """Return the caption of a picture of a run: face-1-crop.png becomes "Face 1: as scored"."""
    whole = {"boxes.png": tr("Faces found, framed"), "heatmap.png": tr("Heatmaps over the picture")}
    if name in whole:
        return whole[name]
    kind, _, rest = name.removesuffix(".png").partition("-")
    number, _, what = rest.partition("-")
    whats = {
        "face": tr("with its surroundings"),
        "crop": tr("as scored"),
        "heatmap": tr("heatmap"),
        "filmstrip": tr("filmstrip"),
    }
    of_what = tr("Face {number}", number=number) if kind == "face" else tr("Track {number}", number=number)
    return f"{of_what}: {whats[what]}" if what in whats else plain(name)
