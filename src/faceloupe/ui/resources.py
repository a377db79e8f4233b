"""What sessions share: the loaded networks, recent work, and the queue of long work. The only place that caches."""

import atexit
import shutil
import tempfile
from pathlib import Path

import streamlit as st

from faceloupe.cases.store import CaseStore
from faceloupe.config import Settings, data_folder, weights_folder
from faceloupe.media.intake import Intake
from faceloupe.models.records import ModelRecord, find_record
from faceloupe.pipeline import Instruments
from faceloupe.ui import work
from faceloupe.ui.jobs import JobQueue
from faceloupe.ui.stores import AnalysisKey, AnalysisStore, FrameStore


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """Settings of this server."""
    return Settings.from_environment()


@st.cache_resource(show_spinner="Loading the verified model")
def instruments() -> Instruments:
    """The networks; an error is not cached, so restored weights are found at the next rerun.

    Raises:
        WeightsError: no verified weights.
    """
    return Instruments.load(settings())


@st.cache_resource(show_spinner=False)
def analyses() -> AnalysisStore:
    """The shared store of analyses."""
    return AnalysisStore()


@st.cache_resource(show_spinner=False)
def frames() -> FrameStore:
    """The shared store of frames that were looked at closely."""
    return FrameStore()


@st.cache_resource(show_spinner=False)
def jobs() -> JobQueue:
    """The queue of long work."""
    queue = JobQueue()
    atexit.register(queue.close)  # a thread inside the networks must not see the interpreter go
    return queue


@st.cache_resource(show_spinner=False)
def cases() -> CaseStore:
    """The case store of this server; any thread may use it.

    Raises:
        CaseError: the data folder cannot be used; this is not cached either.
    """
    return CaseStore(data_folder())


@st.cache_resource(show_spinner=False)
def copies() -> Path:
    """Folder of the annotated copies; it goes with the server."""
    folder = Path(tempfile.mkdtemp(prefix="faceloupe-copies-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def record() -> ModelRecord:
    """Record of the model that scores.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return find_record(weights_folder(), settings().model)


def key_of(intake: Intake) -> AnalysisKey:
    """Key of the analysis of a file under the loaded model and the server's settings."""
    return work.key_of(intake, instruments().scorer.record.weights_sha256, settings())
