"""What sessions share of recent work, within bounds on memory. Any thread may call these."""

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
_ANALYSES_BYTES = _FRAMES_BYTES = _TABLES_BYTES = 256 * _MIB  # of all; a still holds at most some 10
_DOCUMENTS_BYTES = _PREVIEWS_BYTES = _LENSES_BYTES = 128 * _MIB


def _identity(*fields: str) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AnalysisKey:
    """Identity of an analysis: evidence, its name, weights and settings; never a sample of its pixels."""

    evidence_sha256: str
    name: str
    weights_sha256: str
    settings_digest: str

    @property
    def identity(self) -> str:
        """What names it in an address: 32 hexadecimal digits."""
        return _identity(self.evidence_sha256, self.name, self.weights_sha256, self.settings_digest)


@dataclass(frozen=True, slots=True)
class _Examined:
    """An analysis and its file."""

    analysis: ReportedAnalysis
    evidence_file: EvidenceFile | None


class AnalysisStore:
    """Recent analyses; beside each its file."""

    def __init__(self, capacity_bytes: int = _ANALYSES_BYTES) -> None:
        self._recent: Recent[AnalysisKey, _Examined] = Recent(_examined_size, capacity_bytes)

    def get(self, key: AnalysisKey) -> ReportedAnalysis | None:
        """Return the analysis, or None where it is not kept any more."""
        examined = self._recent.get(key)
        return None if examined is None else examined.analysis

    def find(self, identity: str) -> AnalysisKey | None:
        """Return the key of that identity, or None where its analysis is not kept any more."""
        return next((key for key in self._recent.held() if key.identity == identity), None)

    def evidence_file(self, key: AnalysisKey) -> EvidenceFile | None:
        """Return the file of a kept analysis, where it was kept beside it."""
        examined = self._recent.get(key)
        return None if examined is None else examined.evidence_file

    def put(self, key: AnalysisKey, analysis: ReportedAnalysis, evidence_file: EvidenceFile | None = None) -> None:
        """Keep an analysis, and let go of those that were used longest ago; the newest is always kept."""
        self._recent.put(key, _Examined(analysis, evidence_file))


class PreviewStore(Recent[str, tuple[Preview, ...]]):
    """Evidence of cases as it looks, by its SHA-256."""

    def __init__(self, capacity_bytes: int = _PREVIEWS_BYTES) -> None:
        super().__init__(lambda seen: sum(preview.rgb.nbytes for preview in seen), capacity_bytes)


@dataclass(frozen=True, slots=True)
class LensKey:
    """Identity of what the lenses found.

    Attributes:
        evidence_sha256, name: of the evidence.
        weights_sha256: of the model that probed the robustness; empty where none did.
    """

    evidence_sha256: str
    name: str
    weights_sha256: str = ""

    @property
    def identity(self) -> str:
        """What names it in an address: 32 hexadecimal digits."""
        return _identity(self.evidence_sha256, self.name, self.weights_sha256)


@dataclass(frozen=True, slots=True)
class LensView:
    """What the lenses found in a file, as it is shown.

    Attributes:
        evidence: identity of the file.
        report: without pixels.
        original: (H, W, 3) uint8, the picture, made smaller where it is large; None for a video.
        pictures: those of the lenses by name, likewise.
    """

    evidence: Evidence
    report: LensReport
    original: np.ndarray | None
    pictures: dict[str, LensPicture]


class LensStore(Recent[LensKey, LensView]):
    """What the lenses found lately."""

    def __init__(self, capacity_bytes: int = _LENSES_BYTES) -> None:
        super().__init__(_lens_view_size, capacity_bytes)

    def find(self, identity: str) -> LensKey | None:
        """Return the key of that identity, or None where its result is not kept any more."""
        return next((key for key in self.held() if key.identity == identity), None)


class FrameStore(Recent[tuple[AnalysisKey, int], FrameExplanation]):
    """Frames that were looked at closely, by analysis and index."""

    def __init__(self, capacity_bytes: int = _FRAMES_BYTES) -> None:
        super().__init__(_frame_size, capacity_bytes)


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """Identity of a drawn case report: the head of the case's log, for whom it is, and how it is drawn.

    Attributes:
        withheld: SHA-256 of all evidence whose results blind cases, also others than this, keep from whom it is for.
    """

    head: Head
    viewer: str
    withheld: frozenset[str]
    letterhead: Letterhead
    language: str
    with_log: bool


class DocumentStore(Recent[DocumentKey, bytes]):
    """Case reports that were drawn, as HTML."""

    def __init__(self, capacity_bytes: int = _DOCUMENTS_BYTES) -> None:
        super().__init__(len, capacity_bytes)


class TableStore:
    """Tables of batches, each as it was at the size that its file had: rows are only ever added to one."""

    def __init__(self, capacity_bytes: int = _TABLES_BYTES) -> None:
        self._recent: Recent[tuple[str, int], BatchResults] = Recent(_table_size, capacity_bytes)

    def get(self, batch: Batch) -> BatchResults:
        """Return the table of a batch as it is now.

        Raises:
            UsageError: it cannot be read.
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
    """Bytes that an analysis holds, and an upload kept beside it."""
    evidence_file = examined.evidence_file
    upload = None if evidence_file is None else evidence_file.content
    return analysis_bytes(examined.analysis) + (0 if upload is None else len(upload))


def _lens_view_size(view: LensView) -> int:
    original = 0 if view.original is None else view.original.nbytes
    return original + sum(picture.levels.nbytes for picture in view.pictures.values())


def _frame_size(view: FrameExplanation) -> int:
    arrays = [view.rgb, *(array for face in view.faces for array in (face.crop, face.heatmap) if array is not None)]
    return sum(int(array.nbytes) for array in arrays)
