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

_KEPT_BYTES = 768 * 1024 * 1024  # of pixels, over all sessions


@dataclass(frozen=True, slots=True)
class AnalysisKey:
    """Identity of an analysis: evidence, its name, weights and settings; never a sample of its pixels."""

    evidence_sha256: str
    name: str
    weights_sha256: str
    settings_digest: str


class AnalysisStore:
    """The most recently used analyses, for all sessions, within a bound on memory. Any thread may call it."""

    def __init__(self, capacity_bytes: int = _KEPT_BYTES) -> None:
        self._capacity, self._lock = capacity_bytes, threading.Lock()
        self._kept: OrderedDict[AnalysisKey, Analysis] = OrderedDict()

    def get(self, key: AnalysisKey) -> Analysis | None:
        """The analysis, or None where it is not kept any more."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: AnalysisKey, analysis: Analysis) -> None:
        """Keep an analysis, and let go of those that were used longest ago; the newest is always kept."""
        with self._lock:
            self._kept[key] = analysis
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self._capacity:
                self._kept.popitem(last=False)


def _size(analysis: Analysis) -> int:
    """Bytes of the pixels that an analysis holds."""
    arrays = [array for face in analysis.faces for array in (face.crop, face.heat) if array is not None]
    if analysis.picture is not None:
        arrays.append(analysis.picture.rgb)
    return sum(array.nbytes for array in arrays)


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
    """Record of the model that scores.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return find_record(weights_folder(), settings().model)


def key_of(intake: Intake) -> AnalysisKey:
    """Key of the analysis of a file under the loaded model and the server's settings."""
    digest = hashlib.sha256(json.dumps(settings().as_dict(), sort_keys=True).encode()).hexdigest()
    weights = instruments().scorer.record.weights_sha256
    return AnalysisKey(intake.evidence.sha256, intake.evidence.name, weights, digest)
