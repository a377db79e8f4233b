"""The report of a case: its letterhead, a preview, and the files."""

import base64
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from faceloupe.bundle.export import export_case
from faceloupe.cases.records import Case
from faceloupe.cases.summary import case_report
from faceloupe.report.canonical import to_json
from faceloupe.report.case_html import render_html
from faceloupe.report.case_pdf import write_pdf
from faceloupe.report.case_view import Letterhead
from faceloupe.report.texts import LANGUAGES
from faceloupe.ui import open_case, resources, state

_HEIGHT, _CHUNK = 620, 500  # pixels; items whose results are marked as seen at a time
_NAMES = {"en": "English", "de": "Deutsch"}


def letterhead() -> Letterhead:
    """Who issues the report, and its language; kept for this visit."""
    name, address, language = st.columns([2, 2, 1])
    for kind, place, label, key in (
        ("text_input", name, "Organization", state.ORGANIZATION),
        ("text_area", address, "Address, a line each", state.ADDRESS),
    ):
        field = getattr(place, kind)
        widget = f"{key}_input"
        field(label, value=st.session_state[key], key=widget, on_change=partial(state.keep, key, widget))
    languages = list(LANGUAGES)
    language.selectbox(
        "Language",
        languages,
        index=languages.index(st.session_state[state.LANGUAGE]),
        format_func=_NAMES.get,
        key="language_input",
        on_change=partial(state.keep, state.LANGUAGE, "language_input"),
    )
    lines = tuple(line.strip() for line in st.session_state[state.ADDRESS].splitlines() if line.strip())
    return Letterhead(st.session_state[state.ORGANIZATION], lines)


def record_of(case: Case) -> dict[str, Any]:
    """The record of a case as the examiner may see it; what it shows is logged as seen."""
    store, examiner = resources.cases(), open_case.examiner()
    for offset in range(0, case.items, _CHUNK):
        page = store.items(case.id, viewer=examiner, offset=offset, limit=_CHUNK)
        seen = [item.sha256 for item in page.items if item.outcome]
        store.view_scores(case.id, seen, examiner=examiner)
    return case_report(store, case.id, viewer=examiner)


def downloads(record: dict[str, Any], letterhead: Letterhead, html: str) -> None:
    """The report as HTML and PDF, its data, and all of it in a bundle; each is made when it is asked for."""
    language, examiner = st.session_state[state.LANGUAGE], open_case.examiner()
    with st.container(horizontal=True):
        for label, ending, mime, data in (
            ("HTML", "html", "text/html", html.encode),
            ("PDF", "pdf", "application/pdf", partial(_pdf, record, letterhead, language)),
            ("Case JSON", "json", "application/json", partial(_json, record)),
            (
                "Export bundle",
                "zip",
                "application/zip",
                partial(_bundle, record["case"]["id"], examiner, letterhead, language),
            ),
        ):
            st.download_button(
                label,
                data=data,
                file_name=f"faceloupe-case-{record['case']['id']}.{ending}",
                mime=mime,
                icon=":material/download:",
                on_click="ignore",
                key=f"download_{ending}",
            )


def _pdf(record: dict[str, Any], letterhead: Letterhead, language: str) -> bytes:
    stream = io.BytesIO()
    write_pdf(record, resources.cases().picture, stream, letterhead=letterhead, language=language)
    return stream.getvalue()


def _json(record: dict[str, Any]) -> bytes:
    return (to_json(record) + "\n").encode()


def _bundle(case_id: str, examiner: str, letterhead: Letterhead, language: str) -> bytes:
    """Everything of the case but the evidence itself; the log tells of the export."""
    with tempfile.TemporaryDirectory(prefix="faceloupe-bundle-") as folder:
        path = Path(folder, "case.zip")
        export_case(resources.cases(), case_id, path, actor=examiner, letterhead=letterhead, language=language)
        return path.read_bytes()


def drawn(record: dict[str, Any], letterhead: Letterhead) -> str:
    """The report as HTML."""
    language = st.session_state[state.LANGUAGE]
    return render_html(record, resources.cases().picture, letterhead=letterhead, language=language)


def preview(html: str) -> None:
    """The report in a frame of its own origin, so that nothing in it reaches the app."""
    source = f"data:text/html;charset=utf-8;base64,{base64.b64encode(html.encode()).decode()}"
    st.iframe(source, height=_HEIGHT, alt="Preview of the report")
