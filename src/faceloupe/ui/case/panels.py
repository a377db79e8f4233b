"""A case as a whole: its header, its evidence and its log."""

import json
from functools import partial

import streamlit as st

from faceloupe.cases.audit_log import Head
from faceloupe.cases.audit_verify import LogCheck
from faceloupe.cases.records import Case, Item, ReviewState, stamp, utc_now
from faceloupe.report.translation import Part, translated
from faceloupe.types import Outcome
from faceloupe.ui import resources, state
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import NONE, outcome_mark, plain, short
from faceloupe.ui.language import current, tr

_ROWS, _ENTRIES = 20, 200  # items per page; log entries shown, the newest ones
_CHECKED_AT_ONCE = 2000  # entries: checking a log of this length takes a tenth of a second
_WIDTHS = (0.6, 2.6, 1.6, 0.9, 1.8, 1.2, 2.3)
_THUMB = 44  # pixels


def header(case: Case) -> None:
    """Show the name, id, examiner and mode of a case, and whether its log is intact.

    A short log is checked whenever it has grown, a long one only on request.
    """
    st.subheader(plain(case.name))
    head = resources.cases().log.head(case.id)
    check = st.session_state[state.LOG_CHECK]
    with st.container(horizontal=True, vertical_alignment="center"):
        facts = st.empty()
        pressed = st.button(tr("Verify the log"), key="verify_log", icon=":material/link:", type="tertiary")
    if pressed or ((check is None or check[0] != head) and head.seq <= _CHECKED_AT_ONCE):
        check = head, stamp(utc_now()), resources.cases().log.verify(case.id)
        st.session_state[state.LOG_CHECK] = check
    known = check is not None and check[0] == head
    facts.markdown(
        tr(
            "Case `{id}`  ·  examiner {examiner}  ·  {mode}  ·  {log}",
            id=case.id,
            examiner=plain(case.examiner) or NONE,
            mode=tr("blind") if case.blind else tr("not blind"),
            log=_log_state(head, check[1:] if known else None),
        ),
        width="content",
    )
    if known and not check[2].ok:
        sentence = tr(
            "The log is broken at entry {first_broken}: {reason}",
            first_broken=check[2].first_broken,
            reason=translated(check[2].reason, current(), Part.CHECK),
        )
        st.error(plain(sentence), icon=":material/gpp_bad:")


def _log_state(head: Head, check: tuple[str, LogCheck] | None) -> str:
    if head.seq == 1:
        log = tr("1 log entry, head `{sha256}`", sha256=head.sha256[:8])
    else:
        log = tr("{seq:,} log entries, head `{sha256}`", seq=head.seq, sha256=head.sha256[:8])
    if check is None:
        return tr("{log}, not verified in this session", log=log)
    utc, result = check
    return (
        tr(":material/verified: log verified {utc}Z: {log}", utc=utc[:19], log=log)
        if result.ok
        else tr("{log}, broken", log=log)
    )


def evidence_table(case: Case) -> None:
    """Show one page of the evidence as the examiner may see it; a click on a name chooses an item."""
    store, examiner = resources.cases(), open_case.examiner()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(tr("Search by name or SHA-256"), key="item_search", icon=":material/search:", width=420)
        _filter(tr("Outcome"), state.CASE_OUTCOME, list(Outcome))
        _filter(tr("Review"), state.CASE_STATE, list(ReviewState))
    outcome, review = st.session_state[state.CASE_OUTCOME], st.session_state[state.CASE_STATE]
    list_page = partial(
        store.items.page, case.id, search=search, outcome=outcome, state=review, viewer=examiner, limit=_ROWS
    )
    first = st.session_state[state.CASE_PAGE] * _ROWS
    page = list_page(offset=first)
    if first and not page.items:  # the new search has fewer pages
        st.session_state[state.CASE_PAGE] = 0
        page = list_page()
    if not page.items:
        st.markdown(
            tr("No evidence matches the search and the filters.")
            if search or outcome or review
            else tr("No evidence yet. Add evidence on the pages Image, Video and Batch.")
        )
        return
    seen = [item.sha256 for item in page.items if item.outcome]
    store.reviews.view_scores(case.id, seen, examiner=examiner)  # logged before they are shown
    for item in page.items:
        _row(case, item)
    if page.total > _ROWS:
        _pages(page.total)


def _filter(label: str, key: str, values: list[Outcome] | list[ReviewState]) -> None:
    """Show a filter for the list; its value is kept when the page is left."""
    widget = f"{key}_input"
    st.selectbox(
        label,
        values,
        index=None if st.session_state[key] is None else values.index(st.session_state[key]),
        format_func=lambda value: tr(value.replace("_", " ")),
        placeholder=tr("all"),
        key=widget,
        on_change=partial(state.keep, key, widget),
        width=200,
    )


def item_bar(case: Case, sha256: str) -> None:
    """Show buttons that lead back to the list and to other items; each has a keyboard shortcut."""
    around = resources.cases().items.neighbors(case.id, sha256)
    undecided = resources.cases().reviews.undecided(case.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, key, target, icon, shortcut in (
            (tr("All items"), "item_list", None, "list", "l"),
            (tr("Previous"), "item_back", around.previous, "arrow_back", "p"),
            (tr("Next"), "item_on", around.following, "arrow_forward", "n"),
            (tr("Next undecided"), "item_undecided", around.undecided, "rule", "u"),
        ):
            st.button(
                label,
                key=key,
                icon=f":material/{icon}:",
                shortcut=shortcut,
                disabled=key != "item_list" and target is None,
                on_click=show_item,
                args=(target,),
            )
        st.caption(
            tr("{items:,} of {items2:,} items decided", items=case.items - undecided, items2=case.items),
            width="content",
        )


def show_item(sha256: str | None) -> None:
    """Show an item instead of the list; None goes back to the list. This is a callback."""
    st.session_state[state.CASE_ITEM], st.session_state[state.CASE_SAID] = sha256, None


def _row(case: Case, item: Item) -> None:
    """Show an item in one line with labeled facts; the line becomes a card in a narrow window."""
    with st.container(border=True):
        thumb, name, *cells = st.columns(_WIDTHS, vertical_alignment="center")
    picture = None if item.outcome is None else _thumbnail(case, item)
    if picture is not None:
        thumb.image(picture, width=_THUMB, alt=tr("Face in {name}", name=item.name))
    name.button(
        plain(short(item.name, 36)),
        key=f"item-{item.sha256[:12]}",
        type="tertiary",
        on_click=show_item,
        args=(item.sha256,),
    )
    outcome = tr("not analyzed") if item.outcome is None else outcome_mark(Outcome(item.outcome))
    decision = (
        tr("not decided")
        if item.decision is None
        else tr("decided: {outcome}", outcome=outcome_mark(Outcome(item.decision)))
    )
    facts = (
        f"`{item.sha256[:12]}`",
        tr("image") if item.format and item.media_type == "image" else tr("video") if item.format else tr("neither"),
        tr("hidden until you decide") if item.hidden else outcome,
        tr("no score") if item.score is None else tr("score {score:.2f}", score=item.score),
        decision + (tr(", signed") if item.signed_off else ""),
    )
    for cell, fact in zip(cells, facts, strict=True):
        cell.markdown(fact)


def _thumbnail(case: Case, item: Item) -> bytes | None:
    """Return a small picture of the first face, or None if no face was explained."""
    store = resources.cases()
    run = store.runs.finding(case.id, item.sha256)
    pictures = {} if run is None else run.pictures
    names = (name for ending in ("-face.png", "-crop.png") for name in pictures if name.endswith(ending))
    name = next(names, None)  # runs of earlier versions have no picture of the surroundings
    return None if name is None else store.runs.picture(pictures[name])


def _pages(total: int) -> None:
    page, last = st.session_state[state.CASE_PAGE], (total - 1) // _ROWS
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(tr("Previous"), key="page_back", disabled=page == 0, on_click=_turn, args=(page - 1,))
        st.button(tr("Next"), key="page_on", disabled=page >= last, on_click=_turn, args=(page + 1,))
        st.caption(
            tr("page {page} of {last}, {total:,} items", page=page + 1, last=last + 1, total=total), width="content"
        )


def _turn(page: int) -> None:
    st.session_state[state.CASE_PAGE] = page


def log_table(case: Case) -> None:
    """Show the log, the newest entries first."""
    store = resources.cases()
    with st.expander(tr("Log")):
        entries = [entry.to_record() for entry in store.log.newest(case.id, _ENTRIES)]
        columns = {name: [getattr(entry, name) for entry in entries] for name in ("seq", "utc", "actor", "action")}
        columns["parameters"] = [json.dumps(entry.parameters) for entry in entries]  # escapes bidirectional controls
        columns["sha256"] = [entry.sha256[:8] for entry in entries]
        st.dataframe(columns, hide_index=True, alt=tr("Log of the case, newest entry first"))
        count = store.log.head(case.id).seq
        if count > _ENTRIES:
            st.caption(
                tr(
                    "The newest {most} of {count:,} entries; an exported bundle contains all of them.",
                    most=_ENTRIES,
                    count=count,
                )
            )
