"""Keys of the session state, in one place. Streamlit forgets a widget's value when its page is left; these it keeps."""

import secrets

import streamlit as st

OWNER = "owner"  # tells this session from others where work is shared out
IMAGE_JOB = "image_job"  # key of the analysis under way, see web.jobs.Job
RESULT = "result"  # key of the analysis on show, see caches.AnalysisKey
FACE = "face"  # id of the chosen face
OPACITY = "opacity"  # of the heatmap, 0..1
EFFORT = "effort"  # that this session chose; None leaves it to the settings of the server
LAST_UPLOAD = "last_upload"  # ids of the uploads that were taken: each once, not at every rerun
RECENT = "recent"  # identities of the results that this browser saw last, the newest first
NOTICE = "notice"  # what became of the last file, where it brought no result: icon and sentence

VIDEO_JOB = "video_job"  # key of the examination under way, see web.jobs.Job
VIDEO_RESULT = "video_result"  # key of the video analysis on show
VIDEO_WHOLE = "video_whole"  # key of the analysis that the user looks closer from
VIDEO_SHOWN = "video_shown"  # index of the frame on show, and id of the track it is shown for
VIDEO_UPLOAD = "video_upload"  # id of the last upload that was examined
VIDEO_NOTICE = "video_notice"  # what became of the last job: icon and sentence

LIVE = "live_view"  # what scores the frames of this session's camera, see live.LiveView
LIVE_ANSWER = "live_answer"  # to its last frame
LIVE_NOTICE = "live_notice"  # what became of the last stretch that was to be kept: icon and sentence

LENS_JOB = "lens_job"  # key of the look under way, see web.jobs.Job
LENS_RESULT = "lens_result"  # key of the result on show, see caches.LensKey
LENS_UPLOAD = "lens_upload_id"  # id of the last upload that was looked at
LENS_NOTICE = "lens_notice"  # what became of the last file, where it brought no result: icon and sentence

BATCH = "batch"  # id of the batch on show
BATCH_FILTER = "batch_filter"  # outcome whose rows are shown; None shows all
BATCH_PAGE = "batch_page"  # of its table, from 0
BATCH_NOTICE = "batch_notice"  # what became of the last thing that was done with it: icon and sentence

APP_LANGUAGE = "app_language"  # code of the language that was chosen for the app; empty for that of the browser
EXAMINER = "examiner"  # name of the person at work; empty where nobody is named
SIGN_IN = "sign_in"  # token of the person who signed in with a password; empty where nobody did
CASE = "case"  # id of the open case
CASE_ITEM = "case_item"  # SHA-256 of the chosen item of that case
CASE_PAGE = "case_page"  # of its table of items, from 0
CASE_OUTCOME = "case_outcome"  # whose items are listed; None lists all
CASE_STATE = "case_state"  # of the review, likewise
DRAFTS = "drafts"  # case, person and field -> what was typed or chosen in it, and not entered yet
CASE_SAID = "case_said"  # what became of the last thing that was entered, one sentence
LOG_CHECK = "log_check"  # last check of the open case's log: the head it is of, its time, what was found
FILING_CHOSEN = "filing_chosen"  # file that waits to be filed to a blind case, see filing.Chosen
FILING_JOB = "filing_job"  # key of the job that files it
FILING_SAID = "filing_said"  # what became of that job: icon and sentence
ORGANIZATION = "organization"  # of the letterhead
ADDRESS = "address"  # likewise, a line each
LANGUAGE = "language"  # code of the fixed texts of a report; empty until one is chosen: that of the app
WITH_LOG = "with_log"  # whether a report shows the entries of the log

DEFAULT_OPACITY = 0.6


def start() -> None:
    """Give every key its first value."""
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
    """Keep the value of a widget after its page is left, as a callback."""
    st.session_state[key] = st.session_state[widget]
