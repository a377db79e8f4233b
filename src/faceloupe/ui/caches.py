"""Caches of recent work that all sessions share, with limits on memory. Safe to use from any thread."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from faceloupe.analysis.pipeline import FrameExplanation, Preview
from faceloupe.batch.results import BatchResults
from faceloupe.batch.store import Batch
from faceloupe.cases.audit_log import Head
from faceloupe.forensics.registry import LensReport
from faceloupe.forensics.results import LensPicture
from faceloupe.media.evidence import Evidence
from faceloupe.media.evidence_file import EvidenceFile
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.document.case import Letterhead
from faceloupe.web.recent import Recent, analysis_bytes

_MIB = 1024 * 1024
_ANALYSES_BYTES = _FRAMES_BYTES = _TABLES_BYTES = 256 * _MIB  # in total; an image holds about 10 MiB at most
_DOCUMENTS_BYTES = _PREVIEWS_BYTES = _LENSES_BYTES = 128 * _MIB


def _identity(*fields: str) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AnalysisKey:
    """Key of an analysis: SHA-256 and name of the evidence, weights and settings.

    The hash covers the whole file, never a sample of its pixels.
    """

    evidence_sha256: str
    name: str
    weights_sha256: str
    settings_digest: str

    @property
    def identity(self) -> str:
        """Id of the analysis in an address: 32 hexadecimal digits."""
        return _identity(self.evidence_sha256, self.name, self.weights_sha256, self.settings_digest)


@dataclass(frozen=True, slots=True)
class _Examined:
    """An analysis and its evidence file."""

    analysis: ReportedAnalysis
    evidence_file: EvidenceFile | None


class AnalysisStore:
    """Recent analyses, each with its evidence file if one was given."""

    def __init__(self, capacity_bytes: int = _ANALYSES_BYTES) -> None:
        self._recent: Recent[AnalysisKey, _Examined] = Recent(_examined_size, capacity_bytes)

    def get(self, key: AnalysisKey) -> ReportedAnalysis | None:
        """Return the analysis, or None if it is no longer cached."""
        examined = self._recent.get(key)
        return None if examined is None else examined.analysis

    def find(self, identity: str) -> AnalysisKey | None:
        """Return the key with this identity, or None if its analysis is no longer cached."""
        return next((key for key in self._recent.held() if key.identity == identity), None)

    def evidence_file(self, key: AnalysisKey) -> EvidenceFile | None:
        """Return the evidence file of a cached analysis, or None if there is none."""
        examined = self._recent.get(key)
        return None if examined is None else examined.evidence_file

    def put(self, key: AnalysisKey, analysis: ReportedAnalysis, evidence_file: EvidenceFile | None = None) -> None:
        """Add an analysis, and evict the least recently used ones; the newest is always kept."""
        self._recent.put(key, _Examined(analysis, evidence_file))


class PreviewStore(Recent[str, tuple[Preview, ...]]):
    """Previews of evidence by its SHA-256: the picture, or frames of the video."""

    def __init__(self, capacity_bytes: int = _PREVIEWS_BYTES) -> None:
        super().__init__(lambda seen: sum(preview.rgb.nbytes for preview in seen), capacity_bytes)


@dataclass(frozen=True, slots=True)
class LensKey:
    """Key of a result of the lenses.

    Attributes:
        evidence_sha256, name: of the evidence.
        weights_sha256: of the model that probed the robustness; empty if it was not probed.
    """

    evidence_sha256: str
    name: str
    weights_sha256: str = ""

    @property
    def identity(self) -> str:
        """Id of the result in an address: 32 hexadecimal digits."""
        return _identity(self.evidence_sha256, self.name, self.weights_sha256)


@dataclass(frozen=True, slots=True)
class LensView:
    """The result of the lenses for a file, ready to be shown.

    Attributes:
        evidence: identity of the file.
        report: facts and findings, without pixels.
        original: (H, W, 3) uint8, the picture, scaled down if it is large; None if no lens has pictures, as for a
            video.
        pictures: pictures of the lenses by name, scaled down in the same way.
    """

    evidence: Evidence
    report: LensReport
    original: np.ndarray | None
    pictures: dict[str, LensPicture]


class LensStore(Recent[LensKey, LensView]):
    """Recent results of the lenses."""

    def __init__(self, capacity_bytes: int = _LENSES_BYTES) -> None:
        super().__init__(_lens_view_size, capacity_bytes)

    def find(self, identity: str) -> LensKey | None:
        """Return the key with this identity, or None if its result is no longer cached."""
        return next((key for key in self.held() if key.identity == identity), None)


class FrameStore(Recent[tuple[AnalysisKey, int], FrameExplanation]):
    """Explained frames, by analysis and index of the frame."""

    def __init__(self, capacity_bytes: int = _FRAMES_BYTES) -> None:
        super().__init__(_frame_size, capacity_bytes)


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """Key of a rendered case report: the head of the case's log, the viewer, and the options of the rendering.

    Attributes:
        withheld: SHA-256 of all evidence whose results are withheld from the viewer, by this or any other blind case.
    """

    head: Head
    viewer: str
    withheld: frozenset[str]
    letterhead: Letterhead
    language: str
    with_log: bool


class DocumentStore(Recent[DocumentKey, bytes]):
    """Rendered case reports, as HTML."""

    def __init__(self, capacity_bytes: int = _DOCUMENTS_BYTES) -> None:
        super().__init__(len, capacity_bytes)


class TableStore:
    """Tables of batches, by batch and file size: rows are only ever added, so the size identifies the content."""

    def __init__(self, capacity_bytes: int = _TABLES_BYTES) -> None:
        self._recent: Recent[tuple[str, int], BatchResults] = Recent(_table_size, capacity_bytes)

    def get(self, batch: Batch) -> BatchResults:
        """Return the current table of a batch.

        Raises:
            UsageError: the table cannot be read.
        """
        key = batch.id, batch.table.stat().st_size if batch.table.exists() else 0
        results = self._recent.get(key)
        if results is None:
            results = BatchResults.read(batch.table)
            self._recent.put(key, results)
        return results


def _table_size(results: BatchResults) -> int:
    return int(results.rows.memory_usage(deep=True).sum())


def _examined_size(examined: _Examined) -> int:
    """Return the size in bytes of an analysis and of the upload stored with it."""
    evidence_file = examined.evidence_file
    upload = None if evidence_file is None else evidence_file.content
    return analysis_bytes(examined.analysis) + (0 if upload is None else len(upload))


def _lens_view_size(view: LensView) -> int:
    original = 0 if view.original is None else view.original.nbytes
    return original + sum(picture.levels.nbytes for picture in view.pictures.values())


def _frame_size(view: FrameExplanation) -> int:
    arrays = [view.rgb, *(array for face in view.faces for array in (face.crop, face.heatmap) if array is not None)]
    return sum(int(array.nbytes) for array in arrays)
