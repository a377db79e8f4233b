"""Resources that sessions share: loaded networks, recent work, and job queues. Only this module caches."""

import atexit
import gc
import os
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import streamlit as st

from faceloupe.analysis.pipeline import Networks
from faceloupe.batch.store import BatchStore
from faceloupe.cases.store import CaseStore
from faceloupe.config import DEFAULT_EFFORT, DEMO_BYTES, Sampling, Settings, data_folder, is_demo, weights_folder
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.models.record import ModelRecord, find_record
from faceloupe.system import temp
from faceloupe.ui import state
from faceloupe.ui.auth.people import People, SignIns
from faceloupe.ui.caches import (
    AnalysisKey,
    AnalysisStore,
    DocumentStore,
    FrameStore,
    LensStore,
    PreviewStore,
    TableStore,
)
from faceloupe.ui.jobs import tasks
from faceloupe.web.jobs import Job, JobQueue, Work


class _Server:
    """The settings of this server, which all sessions share except for their efforts."""

    def __init__(self) -> None:
        settings = Settings.from_environment()
        self.settings = replace(settings, max_bytes=min(settings.max_bytes, DEMO_BYTES)) if is_demo() else settings


@st.cache_resource(show_spinner=False)
def _server() -> _Server:
    return _Server()


def settings() -> Settings:
    """Return the settings of this server; an effort chosen in this session overrides its effort and model."""
    effort = st.session_state.get(state.EFFORT)
    return replace(_server().settings, effort=effort, model="") if effort else _server().settings


def choose_model(model: str) -> None:
    """Use another model until the server stops, in this session and in every session that chose no effort.

    Raises:
        WeightsError: there are no verified weights; the model does not change.
    """
    networks(replace(settings(), model=model))
    _server().settings = replace(_server().settings, model=model)
    st.session_state[state.EFFORT] = None


@st.cache_resource(show_spinner="Loading the model", max_entries=4)  # three efforts, and one more
def loaded(chosen: Settings) -> Networks:
    """Return the networks for some settings; errors are not cached, so restored weights are found at the next rerun.

    Raises:
        WeightsError: there are no verified weights.
    """
    networks = Networks.load(chosen)
    # Streamlit collects garbage after every script run, polls included. Without the freeze, each collection would scan
    # all loaded objects and block all other threads for a third of a second.
    gc.collect()
    gc.freeze()
    return networks


def networks(chosen: Settings | None = None) -> Networks:
    """Return the networks for some settings, or for those of this server and session.

    Raises:
        WeightsError: there are no verified weights.
    """
    chosen = chosen or settings()
    # Networks depend only on the model, so efforts with the same model share them, and so do all samplings.
    networks = loaded(replace(chosen.with_sampling(Sampling()), effort=DEFAULT_EFFORT, model=chosen.model_id))
    return replace(networks, settings=chosen)


@st.cache_resource(show_spinner=False)
def analyses() -> AnalysisStore:
    """Return the shared store of analyses."""
    return AnalysisStore()


@st.cache_resource(show_spinner=False)
def lens_views() -> LensStore:
    """Return the shared store of results of the lenses."""
    return LensStore()


@st.cache_resource(show_spinner=False)
def frames() -> FrameStore:
    """Return the shared store of explained frames."""
    return FrameStore()


@st.cache_resource(show_spinner=False)
def previews() -> PreviewStore:
    """Return the shared store of previews of evidence."""
    return PreviewStore()


@st.cache_resource(show_spinner=False)
def documents() -> DocumentStore:
    """Return the shared store of rendered case reports."""
    return DocumentStore()


@st.cache_resource(show_spinner=False)
def long_jobs() -> JobQueue:
    """Return the queue of long jobs."""
    return _queue(threads=1 if is_demo() else 2)  # two, so that one long video does not delay all others


@st.cache_resource(show_spinner=False)
def short_jobs() -> JobQueue:
    """Return the queue of jobs of about a second, which must not wait for videos; a demo has one queue for all jobs."""
    if is_demo():
        return long_jobs()
    return _queue(threads=os.cpu_count() or 1)


@st.cache_resource(show_spinner=False)
def batches() -> JobQueue:
    """Return the queue of batches: one at a time, as each uses every core."""
    return _queue(threads=1)


@st.cache_resource(show_spinner=False)
def batch_store() -> BatchStore:
    """Return the store of batches."""
    return BatchStore(data_folder() / "batches")


@st.cache_resource(show_spinner=False)
def tables() -> TableStore:
    """Return the shared store of recently read tables of batches."""
    return TableStore()


def submit(key: Hashable, title: str, work: Work) -> Job:
    """Queue a long job of this session; see ``JobQueue.submit``."""
    return long_jobs().submit(key, title, work, owner=st.session_state[state.OWNER])


def submit_image(key: Hashable, title: str, work: Work) -> Job:
    """Queue a short job of this session; see ``JobQueue.submit``."""
    return short_jobs().submit(key, title, work, owner=st.session_state[state.OWNER])


def _queue(threads: int) -> JobQueue:
    queue = JobQueue(threads=threads)
    atexit.register(queue.close)  # no thread may run a network while the interpreter exits
    return queue


@st.cache_resource(show_spinner=False)
def cases() -> CaseStore:
    """Return the case store of this server; any thread may use it.

    Raises:
        CaseError: the data folder cannot be used; the error is not cached.
    """
    return CaseStore(data_folder())


@st.cache_resource(show_spinner=False)
def people() -> People:
    """Return the store of examiners with passwords."""
    return People(data_folder())


@st.cache_resource(show_spinner=False)
def sign_ins() -> SignIns:
    """Return the store of sign-ins to this server."""
    return SignIns()


@st.cache_resource(show_spinner=False)
def copies() -> Path:
    """Return the folder of the annotated copies, which is removed when the server stops."""
    return temp.folder("copies")


def record(model: str | None = None) -> ModelRecord:
    """Return the record of a model, by default of the model in use.

    Raises:
        WeightsError: the record is missing or damaged.
    """
    return find_record(weights_folder(), model or settings().model_id)


def key_of(evidence_file: EvidenceFile) -> AnalysisKey:
    """Return the key of the analysis of a file with the model and settings of this session."""
    return tasks.key_of(evidence_file, networks().scorer.record.weights_sha256, settings())
