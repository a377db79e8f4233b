"""Filing from the pages that examine: the shown analysis, or a file for a blind case, whose result stays hidden."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from faceloupe.cases.records import Case
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import OpenFile
from faceloupe.config import Settings, data_folder, is_demo
from faceloupe.errors import EvidenceError, FaceLoupeError
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.report.build import ReportedAnalysis
from faceloupe.ui import elements, resources, state
from faceloupe.ui.browser import MOST_NAME
from faceloupe.ui.caches import AnalysisKey
from faceloupe.ui.case import open_case
from faceloupe.ui.elements import plain
from faceloupe.ui.jobs import tasks
from faceloupe.ui.jobs.panel import job_line
from faceloupe.ui.language import current, mark_for_translation, tr, translator
from faceloupe.ui.video import input
from faceloupe.web.jobs import State

_UNTIL = mark_for_translation("it is kept until newer results need the memory or the server stops")
_NOT_FILED = mark_for_translation(
    "Not filed: {until}. To add it to a case, open a case and name the examiner on the page Cases."
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file that waits to be filed to a blind case.

    Attributes:
        source: identifies the file.
        name: name of the file.
        open_file: opens the file; called in the job.
        settings: settings of its analysis.
    """

    source: Hashable
    name: str
    open_file: OpenFile
    settings: Settings


def of_evidence(evidence_file: EvidenceFile) -> Chosen:
    """Return an open evidence file as a file that can be filed."""
    return Chosen(
        evidence_file.evidence.sha256, evidence_file.evidence.name, lambda _: evidence_file, resources.settings()
    )


def of_video(chosen: input.Chosen) -> Chosen:
    """Return a video that was chosen for analysis as a file that can be filed."""
    return Chosen(chosen.key, chosen.name, chosen.open_file, chosen.key.settings)


def panel(key: AnalysisKey) -> None:
    """Show where the analysis is filed, or offer to file it.

    Raises:
        FaceLoupeError: the analysis cannot be filed.
    """
    if is_demo():
        return
    case, analysis = open_case.case(), resources.analyses().get(key)
    if analysis is None:
        return
    if case is None or not open_case.examiner():
        st.caption(tr(_NOT_FILED, until=tr(_UNTIL)))
        _new_case(key, analysis)
        return
    workflow = open_case.workflow_of(case)
    run = workflow.filed(analysis)
    if run is not None:
        workflow.store.reviews.view_score(case.id, key.evidence_sha256, examiner=workflow.actor)  # the page shows it
        st.caption(
            tr(
                ":material/check: Already filed in case {name} as run `{id}`, by {actor}, {created_utc}Z. The page "
                "Case shows it.",
                name=plain(case.name),
                id=run.id,
                actor=plain(run.actor),
                created_utc=run.created_utc[:19],
            )
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(tr("File to the case"), key="file", icon=":material/create_new_folder:")
        st.caption(
            tr("Not filed in case {name} yet; {until}.", name=plain(case.name), until=tr(_UNTIL)), width="content"
        )
    if pressed:
        evidence_file = resources.analyses().evidence_file(key)
        if evidence_file is None:
            raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
        _file(case, key, analysis, evidence_file)
        st.rerun()


def _new_case(key: AnalysisKey, analysis: ReportedAnalysis) -> None:
    """Offer to file the analysis to a new case that is named after the file, and then show the item.

    Raises:
        FaceLoupeError: the analysis cannot be filed.
    """
    person = open_case.person()
    if person.checked and not person.name:  # the examiner must sign in first
        return
    with st.form("new_case_with_file", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = person.name or st.text_input(
            tr("Examiner"),
            key="new_case_examiner",
            placeholder=tr("Your name, as it will appear in the log"),
            max_chars=MOST_NAME,
            width=320,
        )
        pressed = st.form_submit_button(
            tr("File to a new case"), key="file_new_case", icon=":material/create_new_folder:"
        )
    if not pressed:
        return
    evidence_file = resources.analyses().evidence_file(key)
    if evidence_file is None:
        raise EvidenceError(f"{key.name} is no longer in memory; choose it again.")
    case = resources.cases().create_case(key.name, examiner=name)
    st.session_state[state.EXAMINER] = case.examiner
    open_case.switch_to(case.id)
    _file(case, key, analysis, evidence_file)
    st.session_state[state.CASE_ITEM] = key.evidence_sha256
    st.switch_page("../pages/case.py")


def _file(case: Case, key: AnalysisKey, analysis: ReportedAnalysis, evidence_file: EvidenceFile) -> None:
    with st.spinner(tr("Filing")):
        workflow = open_case.workflow_of(case)
        workflow.file_analysis(evidence_file, analysis)
        # The page shows the result, so the view is logged.
        workflow.store.reviews.view_score(case.id, key.evidence_sha256, examiner=workflow.actor)


def withheld(sha256: str) -> bool:
    """Return whether a blind case withholds the result of this evidence from the examiner; if so, show a message.

    The case need not be open.

    Raises:
        CaseError: the cases cannot be read, so the answer is unknown.
    """
    if not CaseStore.is_in(data_folder()):  # do not create a store only to show a result
        return False
    examiner = open_case.examiner()
    case = resources.cases().reviews.withholding_case(sha256, examiner)
    if case is None:
        return False
    who = (
        tr("{examiner} has entered a decision", examiner=plain(examiner))
        if examiner
        else tr("you have named an examiner who has entered a decision on it")
    )
    st.info(
        tr(
            "This file is evidence of the blind case {name} (`{id}`): its result is shown once {who}.",
            name=plain(case.name),
            id=case.id,
            who=who,
        ),
        icon=":material/visibility_off:",
    )
    return True


def all_withheld() -> frozenset[str]:
    """Return the SHA-256 of all evidence whose results blind cases withhold from the examiner, see ``withheld``.

    Raises:
        CaseError: the cases cannot be read, so the answer is unknown.
    """
    return resources.cases().reviews.withheld(open_case.examiner()) if CaseStore.is_in(data_folder()) else frozenset()


def blind_case() -> Case | None:
    """Return the open case if it is blind, otherwise None.

    Raises:
        CaseError: the case cannot be read.
    """
    case = open_case.case()
    return case if case is not None and case.blind else None


def choose(chosen: Chosen) -> None:
    """Remember a file that the examiner can file to the open blind case; clear the last message."""
    st.session_state[state.FILING_CHOSEN], st.session_state[state.FILING_SAID] = chosen, None


def blind_panel(case: Case) -> None:
    """Show the content of an examining page while a blind case is open: files are filed, and no result is shown.

    Raises:
        UsageError: the list of examiners with passwords cannot be read.
    """
    st.markdown(
        tr(
            "The open case, {name}, is blind: while it is open, this page files evidence and shows no "
            "result. The result is shown on the page Case once you have entered your decision.",
            name=plain(case.name),
        )
    )
    if not open_case.examiner():
        st.info(tr("Name the examiner on the page Cases to file evidence."), icon=":material/badge:")
        return
    waiting = st.session_state[state.FILING_CHOSEN]
    if waiting is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                tr("File to the case without showing the result"),
                key="file_blind",
                icon=":material/create_new_folder:",
                on_click=_submit,
                args=(case, waiting),
            )
            st.caption(plain(waiting.name), width="content")
    follow()


def _submit(case: Case, chosen: Chosen) -> None:
    key = ("filing", case.id, chosen.source)
    try:
        workflow = replace(open_case.workflow_of(case), settings=chosen.settings)
        networks = resources.networks(workflow.settings)
        translate = translator(current())
        filing = partial(tasks.add_without_result, chosen.open_file, chosen.name, workflow, networks, tr=translate)
        st.session_state[state.FILING_JOB] = resources.submit(key, tr("Filing {name}", name=chosen.name), filing).key
        st.session_state[state.FILING_CHOSEN] = None
    except FaceLoupeError as problem:
        st.session_state[state.FILING_SAID] = ("error", str(problem))


def submit_uploads(case: Case, uploads: Sequence[UploadedFile]) -> None:
    """File several uploads to a blind case without showing their results; an error becomes the notice.

    Args:
        case: the open case.
        uploads: the files; a ZIP is filed as one file and not unpacked.
    """
    workflow, limit = open_case.workflow_of(case), resources.settings().max_bytes
    try:
        files = [
            tasks.PendingFile(upload.name, tasks.take_upload(upload.getvalue(), upload.name, limit))
            for upload in uploads
        ]
        networks, translate = resources.networks(workflow.settings), translator(current())
        work = partial(tasks.add_files, files, workflow, networks, seen=False, tr=translate)
        key = ("filing", case.id, frozenset(upload.file_id for upload in uploads))
        st.session_state[state.FILING_JOB] = resources.submit(
            key, tr("Filing {count:,} files", count=len(files)), work
        ).key
        st.session_state[state.FILING_SAID] = None
    except FaceLoupeError as problem:
        st.session_state[state.FILING_SAID] = ("error", str(problem))


def blind_uploads(case: Case) -> None:
    """Show a drop zone for many files, which are filed to the open blind case without showing their results."""
    st.markdown(
        tr(
            "The open case, {name}, is blind: while it is open, no batch is shown, because a table contains scores. "
            "You can file any number of files here; their results are not shown.",
            name=plain(case.name),
        )
    )
    if not open_case.examiner():
        st.info(tr("Name the examiner on the page Cases to file evidence."), icon=":material/badge:")
        return
    with st.form("blind_batch", border=False, clear_on_submit=True):
        uploads = st.file_uploader(tr("Photos and videos, any number"), accept_multiple_files=True, key="blind_uploads")
        pressed = st.form_submit_button(tr("File all without showing the results"))
    if pressed and uploads:
        submit_uploads(case, uploads)
    follow()


def follow() -> None:
    """Show the progress of the filing, or its outcome."""
    key = st.session_state[state.FILING_JOB]
    job = resources.long_jobs().get(key) if key is not None else None
    if job is not None and job.live:
        job_line(job)
    elif job is not None:
        st.session_state[state.FILING_JOB] = None
        ends = {
            State.DONE: ("check", str(job.result)),
            State.FAILED: ("error", job.error),
        }
        cancelled = (
            "cancel",
            tr("{title} was cancelled; the page Case shows whether it was already filed.", title=job.title),
        )
        st.session_state[state.FILING_SAID] = ends.get(job.state, cancelled)
    elements.notice(state.FILING_SAID)
