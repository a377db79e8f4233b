"""What sessions share: the loaded networks, recent work, and the queue of long work. The only place that caches."""

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
    """The settings of this server; every session shares them, its effort aside."""

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
    """Have another model score from now on, until the server stops: here, and in every session that chose no effort.

    Raises:
        WeightsError: no verified weights; the model stays as it was.
    """
    networks(replace(settings(), model=model))
    _server().settings = replace(_server().settings, model=model)
    st.session_state[state.EFFORT] = None


@st.cache_resource(show_spinner="Loading the model", max_entries=4)  # of the three efforts, and one more
def loaded(chosen: Settings) -> Networks:
    """Return the networks of some settings; an error is not cached, so restored weights are found at the next rerun.

    Raises:
        WeightsError: no verified weights.
    """
    networks = Networks.load(chosen)
    # Streamlit collects garbage after every run of a script, polls included, and would look through all that was loaded
    # each time: a third of a second in which no other thread goes on.
    gc.collect()
    gc.freeze()
    return networks


def networks(chosen: Settings | None = None) -> Networks:
    """Return the networks for some settings, or for those of this server and session.

    Raises:
        WeightsError: no verified weights.
    """
    chosen = chosen or settings()
    # Networks follow from the model alone: efforts that share one, and any samplings, share its networks too.
    networks = loaded(replace(chosen.sampled(Sampling()), effort=DEFAULT_EFFORT, model=chosen.model_id))
    return replace(networks, settings=chosen)


@st.cache_resource(show_spinner=False)
def analyses() -> AnalysisStore:
    """Return the shared store of analyses."""
    return AnalysisStore()


@st.cache_resource(show_spinner=False)
def lens_views() -> LensStore:
    """Return the shared store of what the lenses found."""
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
    """Return the shared store of case reports that were drawn."""
    return DocumentStore()


@st.cache_resource(show_spinner=False)
def jobs() -> JobQueue:
    """Return the queue of long work."""
    return _queue(threads=1 if is_demo() else 2)  # so that one long video does not hold up everyone's


@st.cache_resource(show_spinner=False)
def stills() -> JobQueue:
    """Return the queue of work that takes a second or so, which must not wait for videos; a demo has one queue."""
    if is_demo():
        return jobs()
    return _queue(threads=os.cpu_count() or 1)


@st.cache_resource(show_spinner=False)
def batches() -> JobQueue:
    """Return the queue of batches: one at a time, as each uses every core."""
    return _queue(threads=1)


@st.cache_resource(show_spinner=False)
def batch_store() -> BatchStore:
    """Return the batches that are kept."""
    return BatchStore(data_folder() / "batches")


@st.cache_resource(show_spinner=False)
def tables() -> TableStore:
    """Tables of batches that were read lately."""
    return TableStore()


def submit(key: Hashable, title: str, work: Work) -> Job:
    """Queue long work of this session; see ``JobQueue.submit``."""
    return jobs().submit(key, title, work, owner=st.session_state[state.OWNER])


def submit_image(key: Hashable, title: str, work: Work) -> Job:
    """Queue short work of this session, likewise."""
    return stills().submit(key, title, work, owner=st.session_state[state.OWNER])


def _queue(threads: int) -> JobQueue:
    queue = JobQueue(threads=threads)
    atexit.register(queue.close)  # a thread inside the networks must not see the interpreter go
    return queue


@st.cache_resource(show_spinner=False)
def cases() -> CaseStore:
    """Return the case store of this server; any thread may use it.

    Raises:
        CaseError: the data folder cannot be used; this is not cached either.
    """
    return CaseStore(data_folder())


@st.cache_resource(show_spinner=False)
def people() -> People:
    """Return the people with passwords of their own."""
    return People(data_folder())


@st.cache_resource(show_spinner=False)
def sign_ins() -> SignIns:
    """Return who signed in to this server."""
    return SignIns()


@st.cache_resource(show_spinner=False)
def copies() -> Path:
    """Folder of the annotated copies; it goes with the server."""
    return temp.folder("copies")


def record(model: str | None = None) -> ModelRecord:
    """Record of the model that scores, or of another one.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return find_record(weights_folder(), model or settings().model_id)


def key_of(evidence_file: EvidenceFile) -> AnalysisKey:
    """Key of the analysis of a file under the loaded model and the server's settings."""
    return tasks.key_of(evidence_file, networks().scorer.record.weights_sha256, settings())
