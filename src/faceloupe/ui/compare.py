"""Two results side by side: how they are chosen, their findings, and their pictures."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from faceloupe.analysis.pipeline import Preview, previews
from faceloupe.cases.records import Case, Item
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.report.comparison import compared_facts
from faceloupe.report.drawing.comparison import DIFFERENCE_MAX, Pair, Window, blinking, difference_picture
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.report.face_ranking import NamedFace, rank_faces
from faceloupe.report.finding import finding_of
from faceloupe.report.numerals import decimal
from faceloupe.report.schema import Face, Report
from faceloupe.ui import recent, resources
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import outcome_mark, plain, sentence
from faceloupe.ui.language import current, mark_for_translation, tr

_LISTED = 200  # items of the open case
_RANKED = 50  # faces in the list
_HASH_LINE = 32  # characters of a SHA-256 per line
_SIDES = (mark_for_translation("First"), mark_for_translation("Second"))
_MODES = (mark_for_translation("Side by side"), mark_for_translation("Blink"), mark_for_translation("Difference"))


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two results.

    Attributes:
        title: name that is shown.
        report: report of the result.
        open_evidence: opens the file; None if the file is no longer available.
    """

    title: str
    report: Report
    open_evidence: Callable[[], EvidenceFile] | None


def choose() -> tuple[Side, Side] | None:
    """Show a choice of two results, recent ones or items of the open case; return None if either is missing.

    Raises:
        FaceLoupeError: the case cannot be read.
    """
    case = open_case.case()
    options: list[AnalysisKey | Item] = [*recent.keys()]
    if case is not None:
        page = resources.cases().items.page(case.id, viewer=open_case.examiner(), limit=_LISTED)
        options += [item for item in page.items if item.outcome is not None and not item.hidden]
        if page.total > _LISTED:
            st.caption(
                tr(
                    "Only the first {most} of {total:,} items of the case are listed.",
                    most=_LISTED,
                    total=page.total,
                )
            )
    if not options:
        st.info(tr("There is nothing to compare yet: examine a file, or open a case."))
        return None
    sides: list[Side | None] = []
    for number, (cell, name) in enumerate(zip(st.columns(2), _SIDES, strict=True)):
        with cell:
            chosen = st.selectbox(
                tr(name),
                options,
                index=number if number < len(options) else None,  # a result is not compared with itself
                format_func=_title,
                key=f"compare-{name.lower()}",
                placeholder=tr("Choose a result"),
            )
            if chosen is None:
                sides.append(None)
            else:
                sides.append(_of_case(chosen, name) if isinstance(chosen, Item) else _recent(chosen))
    first, second = sides
    return None if first is None or second is None else (first, second)


def _title(option: AnalysisKey | Item) -> str:
    if isinstance(option, Item):
        return tr("{name} (case, {sha256})", name=option.name, sha256=option.sha256[:8])
    return tr("{name} (in memory, {evidence_sha256})", name=option.name, evidence_sha256=option.evidence_sha256[:8])


def _recent(key: AnalysisKey) -> Side | None:
    analyses = resources.analyses()
    analysis, evidence_file = analyses.get(key), analyses.evidence_file(key)
    if analysis is None:
        st.info(tr("This result is no longer in memory; choose another one."), icon=":material/history:")
        return None
    return Side(key.name, analysis.report, None if evidence_file is None else lambda: evidence_file)


def _of_case(item: Item, name: str) -> Side | None:
    store = resources.cases()
    runs = {run.id: run for run in reversed(store.runs.of_item(item.case_id, item.sha256))}
    finding = store.runs.finding(item.case_id, item.sha256)
    run_id = st.selectbox(
        tr("Run"),
        list(runs),
        index=0 if finding is None else list(runs).index(finding.id),
        format_func=lambda run_id: f"{run_id}, {runs[run_id].created_utc[:19]}Z",
        key=f"compare-run-{name.lower()}-{item.sha256}",
    )
    store.reviews.view_run(item.case_id, item.sha256, run_id, examiner=open_case.examiner())  # before it is shown
    max_bytes = resources.settings().max_bytes
    return Side(
        item.name,
        store.runs.report(run_id),
        lambda: store.items.open_evidence(item.sha256, name=item.name, max_bytes=max_bytes),
    )


def findings(sides: tuple[Side, Side]) -> None:
    """Show both findings, and the facts that differ."""
    results = [finding_of(side.report, current()) for side in sides]
    alike = len({result.error_rates for result in results}) == 1
    for cell, side, result in zip(st.columns(2), sides, results, strict=True):
        with cell.container(border=True):
            st.markdown(f"**{plain(side.title)}**  \n{outcome_mark(side.report.outcome)}")
            if side.report.score is None:
                st.markdown(sentence(side.report.reason))
                continue
            st.markdown(plain(f"{result.headline}. {result.sentence} {result.rests_on}"))
            if not alike:
                st.caption(plain(result.error_rates))
    if alike and results[0].error_rates:
        st.caption(plain(results[0].error_rates))
    facts = compared_facts(*(side.report for side in sides))
    differing = [fact for fact in facts if not fact.same]
    st.markdown(tr("**Facts**: {count} of {count2} differ", count=len(differing), count2=len(facts)))
    rows = [f"| {plain(tr(fact.name))} | {_wrapped(fact.first)} | {_wrapped(fact.second)} |" for fact in differing]
    if rows:
        st.markdown(tr("| | First | Second |\n|---|---|---|\n") + "\n".join(rows))
    if same := [fact for fact in facts if fact.same]:
        with st.expander(tr("The {count} facts that are the same", count=len(same))):
            st.markdown("\n".join(f"- {plain(tr(fact.name))}: {plain(fact.first)}" for fact in same))


def _wrapped(value: str) -> str:
    """Return a value for a table; a SHA-256 gets a space in its middle, where the line may break."""
    if len(value) == 2 * _HASH_LINE and " " not in value:
        value = f"{value[:_HASH_LINE]} {value[_HASH_LINE:]}"
    return plain(value)


def face_ranking(side: Side) -> None:
    """Offer a list of the faces in the open case that are closest to a face of this side in score and quality."""
    case = open_case.case()
    own = [NamedFace(side.title, side.report.evidence.sha256, face) for face in _scored(side.report)]
    if (
        case is None
        or not own
        or not st.toggle(tr("One face compared with all others of the case"), key="compare-faces")
    ):
        return
    chosen = st.selectbox(
        tr("Face of {title}", title=plain(side.title)), own, format_func=_face_title, key="compare-face"
    )
    rows = rank_faces(chosen, _faces_of_case(case))
    st.caption(
        tr(
            "Ordered by score and quality alone. The distance combines three differences: in the odds of the "
            "scores, in size and in sharpness. Each is counted in factors of two; the distance is the square "
            "root of the sum of their squares. Identity is not examined."
        )
    )
    if not rows:
        st.markdown(tr("No other face of the case has a score."))
        return
    st.dataframe(
        {
            tr("Item"): [row.other.title for row in rows[:_RANKED]],
            tr("Face"): [row.other.face.id for row in rows[:_RANKED]],
            tr("Distance"): [round(row.distance, 2) for row in rows[:_RANKED]],
            tr("Score"): [row.other.face.score for row in rows[:_RANKED]],
            tr("Outcome"): [tr(outcome_words(row.other.face.outcome)) for row in rows[:_RANKED]],
            tr("Size, px"): [round(row.other.face.size_px) for row in rows[:_RANKED]],
            tr("Sharpness"): [round(row.other.face.sharpness) for row in rows[:_RANKED]],
        },
        hide_index=True,
        key="compare-ranked",
    )
    if len(rows) > _RANKED:
        st.caption(tr("The nearest {shown} of {count:,} faces with a score.", shown=_RANKED, count=len(rows)))


def _scored(report: Report) -> list[Face]:
    return [face for face in report.faces if face.score is not None]


def _face_title(named: NamedFace) -> str:
    return tr(
        "Face {id}, score {score:.2f}, {size_px:.0f} px",
        id=named.face.id,
        score=named.face.score,
        size_px=named.face.size_px,
    )


def _faces_of_case(case: Case) -> list[NamedFace]:
    """Return the faces of all listed items whose results the examiner may see, and log these results as seen."""
    store, examiner = resources.cases(), open_case.examiner()
    page = store.items.page(case.id, viewer=examiner, limit=_LISTED)
    names = {item.sha256: item.name for item in page.items if item.outcome is not None and not item.hidden}
    allowed = store.reviews.view_scores(case.id, list(names), examiner=examiner)
    return [
        NamedFace(names[sha256], sha256, face)
        for sha256 in allowed
        if (run := store.runs.finding(case.id, sha256)) is not None
        for face in store.runs.report(run.id).faces
    ]


def pictures(sides: tuple[Side, Side]) -> None:
    """Show both pictures at the same zoom: side by side, in turn, or as their difference."""
    looks = [_looks(side) for side in sides]
    first, second = looks
    if first is None or second is None:
        return
    frame, most = 0, min(len(first), len(second))
    if most > 1:
        frame = st.slider(tr("Frame, spread evenly over each video"), 1, most, 1, key="compare-frame") - 1
    mode = st.segmented_control(
        tr("View"), _MODES, default=_MODES[0], format_func=tr, required=True, key="compare-mode"
    )
    with st.container(horizontal=True):
        zoom = st.slider(tr("Zoom"), 1.0, 16.0, 1.0, 0.5, key="compare-zoom")
        x = y = 0.5
        if zoom > 1.0:
            x = st.slider(tr("Left to right"), 0.0, 1.0, 0.5, 0.01, key="compare-x")
            y = st.slider(tr("Top to bottom"), 0.0, 1.0, 0.5, 0.01, key="compare-y")
    whole = Pair.of(first[frame].rgb, second[frame].rgb)
    pair = whole.through(Window(zoom, x, y))
    if whole.resized:
        st.caption(
            tr("The second picture was resized to the size of the first. The resizing alone causes small differences.")
        )
    if mode == _MODES[0]:
        for cell, side, look, rgb in zip(st.columns(2), sides, (first, second), (pair.first, pair.second), strict=True):
            cell.image(
                rgb,
                caption=_caption(side, look[frame]),
                alt=tr("The picture {title}", title=side.title),
                width="stretch",
            )
    elif mode == _MODES[1]:
        st.image(blinking(pair), caption=tr("Both in turn"), alt=tr("Both pictures in turn"), width="stretch")
    else:
        difference = whole.difference()
        st.image(
            difference_picture(pair.difference()),
            caption=tr(
                "Greatest difference of the channels; the scale is fixed: black 0, yellow {most} levels of 255 or more",
                most=DIFFERENCE_MAX,
            ),
            alt=tr("Difference of the two pictures"),
            width="stretch",
        )
        st.caption(
            tr(
                "In the whole picture: mean {mean:.2f} levels, largest {max}; {mean2:.1%} of the pixels differ. "
                "A difference is not a finding.",
                mean=difference.mean(),
                max=difference.max(),
                mean2=(difference > 0).mean(),
            )
        )


def _caption(side: Side, preview: Preview) -> str:
    return side.title if preview.time_s is None else f"{side.title}, {decimal(preview.time_s, 2, current())} s"


def _looks(side: Side) -> tuple[Preview, ...] | None:
    """Return previews of the evidence of a side; if it cannot be shown, show the reason and return None."""
    sha256 = side.report.evidence.sha256
    seen = resources.previews().get(sha256)
    if seen is None and side.open_evidence is not None:
        try:
            with st.spinner(tr("Decoding")):
                seen = previews(side.open_evidence(), settings=resources.settings())
            resources.previews().put(sha256, seen)
        except EvidenceError as problem:
            st.caption(plain(f"{side.title}: {problem}"))
    elif seen is None:
        st.caption(plain(tr("{title} is no longer in memory; choose the file again to see it.", title=side.title)))
    return seen
