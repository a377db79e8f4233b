"""The report of a case: its letterhead, a preview, and the files."""

from collections.abc import Hashable
from functools import partial
from html import escape
from typing import cast

import streamlit as st

from faceloupe.bundle.export import MOST_DRAWN
from faceloupe.cases.case_record import case_record
from faceloupe.cases.records import Case, person_key
from faceloupe.errors import UsageError
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.html import render_html
from faceloupe.report.document.locales import LANGUAGES, language_name
from faceloupe.ui import resources, state
from faceloupe.ui.caches import DocumentKey
from faceloupe.ui.case import open_case
from faceloupe.ui.case.report_files import Source, WrittenFile
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import current, tr, translator
from faceloupe.web.jobs import State, Work

MOST_PRINTED = 500  # items of a case whose report is written as a PDF; measured, see docs/batch-and-cases.md
_HEIGHT, _MOST_SHOWN = 620, 40 * 1024 * 1024  # pixels; bytes of a document that is shown in a frame
_MOST_DOWNLOADED = 256 * 1024 * 1024  # bytes of a file that is read into memory
_FRAME = """<!DOCTYPE html><html lang="{language}"><head><title>{title}</title><style>
html, body {{ margin: 0; height: 100%; overflow: hidden; background: #fff }}
iframe {{ border: 0; width: 100%; height: 100% }}
</style></head><body><iframe sandbox title="{title}" srcdoc="{document}"></iframe></body></html>"""


def letterhead() -> Letterhead:
    """Show the fields for the issuer and options of the report, kept for this session; return the letterhead."""
    name, address, language = st.columns([2, 2, 1])
    for kind, container, label, key in (
        ("text_input", name, tr("Organization"), state.ORGANIZATION),
        ("text_area", address, tr("Address, one line each"), state.ADDRESS),
    ):
        field = getattr(container, kind)
        widget = f"{key}_input"
        field(label, value=st.session_state[key], key=widget, on_change=partial(state.keep, key, widget))
    languages: list[str] = list(LANGUAGES)
    language.selectbox(
        tr("Language"),
        languages,
        index=languages.index(_language()),
        format_func=language_name,
        key="language_input",
        on_change=partial(state.keep, state.LANGUAGE, "language_input"),
    )
    st.checkbox(
        tr("Print the log of the case at the end"),
        value=st.session_state[state.WITH_LOG],
        key="with_log_input",
        on_change=partial(state.keep, state.WITH_LOG, "with_log_input"),
    )
    lines = tuple(line.strip() for line in st.session_state[state.ADDRESS].splitlines() if line.strip())
    return Letterhead(st.session_state[state.ORGANIZATION], lines)


def _language() -> str:
    """Return the language code of the report: the chosen one, or that of the app."""
    return str(st.session_state[state.LANGUAGE] or current())


def document(case: Case, letterhead: Letterhead) -> bytes:
    """Return the report as HTML, as the examiner may see it, and log its results as seen.

    The report is rendered again only if an option has changed, if the log has grown (every change of a case is in its
    log), or if blind cases now withhold other results from the examiner.
    """
    store, examiner, language = resources.cases(), open_case.examiner(), _language()
    store.reviews.view_all(case.id, examiner=examiner)
    with_log = st.session_state[state.WITH_LOG]
    withheld = store.reviews.withheld(examiner)
    key = DocumentKey(store.log.head(case.id), person_key(examiner), withheld, letterhead, language, with_log)
    html = resources.documents().get(key)
    if html is None:
        with st.spinner(tr("Creating the report")):
            record = case_record(store, case.id, viewer=examiner)
            picture = store.runs.picture
            html = render_html(record, picture, letterhead=letterhead, language=language, with_log=with_log).encode()
        resources.documents().put(key, html)
    return html


def _source(case: Case, letterhead: Letterhead) -> Source:
    language, with_log = _language(), st.session_state[state.WITH_LOG]
    return Source(resources.cases(), case.id, open_case.examiner(), letterhead, language, with_log)


def downloads(case: Case, letterhead: Letterhead, html: bytes) -> None:
    """Show downloads of the report (HTML, PDF), its data and a bundle; each download is logged."""
    source = _source(case, letterhead)
    with st.container(horizontal=True):
        for label, ending, mime, make in (
            ("HTML", "html", "text/html", lambda: html),
            ("PDF", "pdf", "application/pdf", source.pdf),
            (tr("Case JSON"), "json", "application/json", source.json),
            (tr("Export bundle"), "zip", "application/zip", source.bundle),
        ):
            name = f"faceloupe-case-{case.id}.{ending}"
            st.download_button(
                label,
                # The export of a bundle writes its own log entry, with the hashes.
                data=source.bundle if ending == "zip" else partial(source.logged_download, name, make),
                file_name=name,
                mime=mime,
                icon=":material/download:",
                on_click="ignore",
                key=f"download_{ending}",
            )
    st.caption(
        tr(
            "Each download is recorded in the log of the case with the SHA-256 of the file. This bundle "
            "contains no evidence: to score it again, the evidence files are needed too."
        )
    )
    with st.expander(tr("Bundle with the evidence")):
        st.markdown(
            tr(
                "It may be large, so it is written to the data folder first; up to {most} MB can be "
                "downloaded from there.",
                most=_MOST_DOWNLOADED >> 20,
            )
        )
        _on_disk(case, letterhead, with_evidence=True)


def large(case: Case, letterhead: Letterhead) -> None:
    """Show the exports of a case that is too large for a preview; they are written to the disk of the server."""
    st.markdown(
        tr(
            "The case has {items:,} items. A report is shown here for up to {drawn} items and written as a PDF for "
            "up to {printed}; a bundle contains the data of all items. Both are written to the data folder; up to "
            "{most} MB can be downloaded from there.",
            items=case.items,
            drawn=MOST_DRAWN,
            printed=MOST_PRINTED,
            most=_MOST_DOWNLOADED >> 20,
        )
    )
    if case.items <= MOST_PRINTED:
        _report_on_disk(case, letterhead)
    _on_disk(case, letterhead, with_evidence=st.checkbox(tr("with the evidence"), key="bundle_evidence"))


def _report_on_disk(case: Case, letterhead: Letterhead) -> None:
    source = _source(case, letterhead)
    export = partial(source.write_report, tr=translator(current()))
    key = ("report", case.id, person_key(source.examiner), letterhead, source.language, source.with_log)
    _written_by_job("report", tr("Write the PDF"), key, tr("Report of {name}", name=case.name), export)


def _on_disk(case: Case, letterhead: Letterhead, *, with_evidence: bool) -> None:
    source = _source(case, letterhead)
    export = partial(source.write_bundle, with_evidence=with_evidence, tr=translator(current()))
    key = ("bundle", case.id, person_key(source.examiner), with_evidence)
    _written_by_job("bundle", tr("Write the bundle"), key, tr("Bundle of {name}", name=case.name), export)


def _written_by_job(kind: str, label: str, key: Hashable, title: str, export: Work) -> None:
    """Offer to write a file to the disk of the server; show the progress, and then the file."""
    job = resources.long_jobs().get(key)
    if job is not None and job.live:
        job_line(job)
        return
    icon = ":material/folder_zip:" if kind == "bundle" else ":material/picture_as_pdf:"
    st.button(label, key=f"write_{kind}", icon=icon, on_click=_submit, args=(key, title, export))
    if job is not None and job.state is State.DONE:
        _written(kind, cast(WrittenFile, job.result))
    elif job is not None and job.state is State.FAILED:
        st.error(plain(job.error), icon=":material/error:")


def _written(kind: str, file: WrittenFile) -> None:
    """Show where a file was written, and offer a download if the file is small enough to be read into memory."""
    st.info(plain(file.sentence), icon=":material/check:")
    if file.path.exists() and file.path.stat().st_size <= _MOST_DOWNLOADED:
        st.download_button(
            tr("Download this bundle") if kind == "bundle" else tr("Download this report"),
            data=file.path.read_bytes,
            file_name=file.path.name,
            mime="application/zip" if kind == "bundle" else "application/pdf",
            icon=":material/download:",
            on_click="ignore",
            key=f"download_written_{kind}",
        )


def _submit(key: Hashable, title: str, export: Work) -> None:
    try:
        resources.submit(key, title, export)
    except UsageError as problem:
        st.error(plain(str(problem)), icon=":material/error:")


def preview(html: bytes) -> None:
    """Show the report in a frame without scripts and with a different origin, so that it cannot access the app.

    A data URL would do the same, but browsers silently refuse one larger than 2 MiB.
    """
    if len(html) > _MOST_SHOWN:
        st.caption(
            tr("The report has {count:,} bytes and is too large to be shown here; download it.", count=len(html))
        )
        return
    title = tr("Preview of the report")
    frame = _FRAME.format(document=escape(html.decode()), language=current(), title=escape(title))
    st.iframe(frame, height=_HEIGHT, alt=title)
