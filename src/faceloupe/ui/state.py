"""Keys of the session state. Streamlit discards a widget's value when its page is left, but keeps these values."""

import secrets

import streamlit as st

OWNER = "owner"  # random id of this session, the owner of its jobs
IMAGE_JOB = "image_job"  # key of the running analysis, see web.jobs.Job
RESULT = "result"  # key of the shown analysis, see caches.AnalysisKey
FACE = "face"  # id of the chosen face
OPACITY = "opacity"  # of the heatmap, 0..1
EFFORT = "effort"  # chosen in this session; None uses the settings of the server
LAST_UPLOAD = "last_upload"  # ids of the uploads already handled, so that a rerun does not repeat them
RECENT = "recent"  # identities of the results that this browser showed last, the newest first
NOTICE = "notice"  # why the last file has no result: icon and sentence

VIDEO_JOB = "video_job"  # key of the running video analysis, see web.jobs.Job
VIDEO_RESULT = "video_result"  # key of the shown video analysis
VIDEO_WHOLE = "video_whole"  # key of the analysis that the user can return to from a segment
VIDEO_SHOWN = "video_shown"  # index of the shown frame, and id of the track it is shown for
VIDEO_UPLOAD = "video_upload"  # id of the last upload that was analyzed
VIDEO_NOTICE = "video_notice"  # why the last job has no result: icon and sentence

LIVE = "live_view"  # live view that scores the frames of this session's camera, see analysis.live.LiveView
LIVE_ANSWER = "live_answer"  # answer to the last frame
LIVE_NOTICE = "live_notice"  # outcome of filing the last seconds: icon and sentence

LENS_JOB = "lens_job"  # key of the running job, see web.jobs.Job
LENS_RESULT = "lens_result"  # key of the shown result, see caches.LensKey
LENS_UPLOAD = "lens_upload_id"  # id of the last upload that was examined
LENS_NOTICE = "lens_notice"  # why the last file has no result: icon and sentence

BATCH = "batch"  # id of the shown batch
BATCH_FILTER = "batch_filter"  # outcome whose rows are shown; None shows all
BATCH_PAGE = "batch_page"  # page of its table, from 0
BATCH_NOTICE = "batch_notice"  # outcome of the last action on it: icon and sentence

APP_LANGUAGE = "app_language"  # code of the language chosen for the app; empty for that of the browser
EXAMINER = "examiner"  # name of the examiner; empty if no name was given
SIGN_IN = "sign_in"  # token of the examiner who signed in with a password; empty if nobody did
CASE = "case"  # id of the open case
CASE_ITEM = "case_item"  # SHA-256 of the chosen item of that case
CASE_PAGE = "case_page"  # page of its table of items, from 0
CASE_OUTCOME = "case_outcome"  # outcome whose items are listed; None lists all
CASE_STATE = "case_state"  # state of the review whose items are listed; None lists all
DRAFTS = "drafts"  # case, person and field -> content that was not entered yet
CASE_SAID = "case_said"  # message on the last entry, one sentence
LOG_CHECK = "log_check"  # last check of the open case's log: head of the log, time, result
FILING_CHOSEN = "filing_chosen"  # file that waits to be filed to a blind case, see filing.Chosen
FILING_JOB = "filing_job"  # key of the job that files it
FILING_SAID = "filing_said"  # outcome of that job: icon and sentence
ORGANIZATION = "organization"  # organization in the letterhead
ADDRESS = "address"  # address in the letterhead, with line breaks
LANGUAGE = "language"  # code of the language of reports; empty for that of the app
WITH_LOG = "with_log"  # whether a report shows the entries of the log

DEFAULT_OPACITY = 0.6


def start() -> None:
    """Set the initial value of every key that has none."""
    names = (
        *(EFFORT, IMAGE_JOB, RESULT, FACE, LAST_UPLOAD, NOTICE),
        *(VIDEO_JOB, VIDEO_RESULT, VIDEO_WHOLE, VIDEO_SHOWN, VIDEO_UPLOAD, VIDEO_NOTICE),
        *(LIVE, LIVE_ANSWER, LIVE_NOTICE),
        *(LENS_JOB, LENS_RESULT, LENS_UPLOAD, LENS_NOTICE),
        *(CASE, CASE_ITEM, CASE_OUTCOME, CASE_STATE, CASE_SAID, LOG_CHECK, FILING_CHOSEN, FILING_JOB, FILING_SAID),
        *(BATCH, BATCH_FILTER, BATCH_NOTICE),
    )
    values: dict[str, object] = {
        OPACITY: DEFAULT_OPACITY,
        EXAMINER: "",
        SIGN_IN: "",
        APP_LANGUAGE: "",
        ORGANIZATION: "",
        ADDRESS: "",
        LANGUAGE: "",
        RECENT: (),
        DRAFTS: {},
        WITH_LOG: False,
    }
    values |= dict.fromkeys((CASE_PAGE, BATCH_PAGE), 0)
    for key, value in {**dict.fromkeys(names), **values}.items():
        st.session_state.setdefault(key, value)
    if OWNER not in st.session_state:
        st.session_state[OWNER] = secrets.token_hex(8)


def keep(key: str, widget: str) -> None:
    """Copy the value of a widget to a key that is kept when its page is left. This is a callback."""
    st.session_state[key] = st.session_state[widget]
