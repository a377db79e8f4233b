"""What sessions share: the loaded networks and recent analyses. The only place that caches."""

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

import streamlit as st

from faceloupe.config import Settings, weights_folder
from faceloupe.media.intake import Intake
from faceloupe.models.records import ModelRecord, find_record
from faceloupe.pipeline import Analysis, Instruments

_KEPT_ANALYSES = 12  # each holds its decoded picture


@dataclass(frozen=True, slots=True)
class AnalysisKey:
    """Identity of an analysis: evidence, its name, weights and settings; never a sample of its pixels."""

    evidence_sha256: str
    name: str
    weights_sha256: str
    settings_digest: str


class AnalysisStore:
    """The most recently used analyses, for all sessions. Any thread may call it."""

    def __init__(self, capacity: int = _KEPT_ANALYSES) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._kept: OrderedDict[AnalysisKey, Analysis] = OrderedDict()

    def get(self, key: AnalysisKey) -> Analysis | None:
        """The analysis, or None where it is not kept any more."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: AnalysisKey, analysis: Analysis) -> None:
        """Keep an analysis, and let go of the one that was used longest ago."""
        with self._lock:
            self._kept[key] = analysis
            self._kept.move_to_end(key)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)


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


def record() -> ModelRecord:
    """The default model's record.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return find_record(weights_folder())


def key_of(intake: Intake) -> AnalysisKey:
    """Key of the analysis of a file under the loaded model and the server's settings."""
    digest = hashlib.sha256(json.dumps(settings().as_dict(), sort_keys=True).encode()).hexdigest()
    weights = instruments().scorer.record.weights_sha256
    return AnalysisKey(intake.evidence.sha256, intake.evidence.name, weights, digest)
