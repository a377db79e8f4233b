"""The Python interface that ``faceloupe`` exports, for scripts and other programs."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from faceloupe.analysis import pipeline
from faceloupe.bundle import verify as bundle_verify
from faceloupe.bundle.export import export_case
from faceloupe.cases.records import Item, Run
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import CaseWorkflow
from faceloupe.config import Sampling, Settings, data_folder
from faceloupe.errors import UsageError
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.report.build import build
from faceloupe.report.schema import Report
from faceloupe.report.write import refuse_report, write

PathLike = str | os.PathLike[str]


class Analyzer:
    """Analyzer of images and videos with one model, one device and one set of limits.

    The weights are verified and loaded once, which takes a few seconds. Threads may share an analyzer. Every report
    states the settings of the analyzer that made it.
    """

    def __init__(
        self, effort: str | None = None, *, settings: Settings | None = None, weights: PathLike | None = None
    ) -> None:
        """Load and verify the weights.

        Args:
            effort: ``quick``, ``standard`` or ``thorough``; if None, the effort in ``settings``, whose default is
                ``standard``.
            settings: model, device, limits and detection; the defaults if None. Environment variables are read only
                by ``Settings.from_environment()``.
            weights: folder with the model records and weights; if None, ``FACELOUPE_WEIGHTS`` or the folder that comes
                with the package.

        Raises:
            UsageError: the effort or the device does not exist, or both an effort and a model are given.
            WeightsError: the weights are missing, or do not match their verified hashes.
        """
        settings = settings or Settings()
        if effort is not None:
            if settings.model:
                raise UsageError(f"Name the effort {effort} or the model {settings.model}, not both.")
            settings = replace(settings, effort=effort)
        self._networks = pipeline.Networks.load(settings, folder=None if weights is None else Path(weights))

    @property
    def settings(self) -> Settings:
        """Settings of all analyses by this analyzer; ``analyze`` can override the sampling of a video."""
        return self._networks.settings

    @property
    def networks(self) -> pipeline.Networks:
        """The loaded networks, in the form that other modules of the package expect."""
        return self._networks

    def analyze(
        self,
        evidence: PathLike | EvidenceFile,
        *,
        sampling: Sampling | None = None,
        explain: bool = False,
        out: PathLike | None = None,
        progress: pipeline.Progress | None = None,
        cancel: pipeline.Cancel | None = None,
    ) -> Report:
        """Analyze one image or video; the type is recognized from the content.

        Args:
            evidence: path of the file, or a file that is already open.
            sampling: which frames of a video to analyze; the sampling of the settings if None.
            explain: whether to compute heatmaps; the report then states their peaks.
            out: folder to write the report and the heatmaps to; implies ``explain``.
            progress: called with the name of the stage and the share done, 0..1.
            cancel: called between the steps; the analysis stops if it returns True.

        Returns:
            The report. For a file that cannot be decoded, its outcome is ``error`` and it states the reason.

        Raises:
            UsageError: the file is missing or cannot be read, the segment is outside the video, or ``out`` cannot be
                written. If ``out`` already holds a report, the error is raised before the analysis starts.
            Cancelled: ``cancel`` returned True.
        """
        if out is not None:
            refuse_report(Path(out))
        source = evidence if isinstance(evidence, EvidenceFile) else Path(evidence)
        analysis = pipeline.analyze(
            source,
            self._networks,
            sampling=sampling,
            explain=explain or out is not None,
            progress=progress,
            cancel=cancel,
        )
        report = build(analysis)
        if out is not None:
            write(analysis, report, Path(out))
        return report


def analyze(evidence: PathLike, effort: str | None = None, *, sampling: Sampling | None = None) -> Report:
    """Analyze one file with a new analyzer; for several files, create one ``Analyzer`` and reuse it.

    Raises:
        UsageError, WeightsError: see ``Analyzer``.
    """
    return Analyzer(effort).analyze(evidence, sampling=sampling)


class Case:
    """One examiner's access to one case: its evidence, its analyses and its log.

    Attributes:
        id: id of the case.
        examiner: name that the log records for all actions; names are not verified.
        store: store of all cases in the data folder.
    """

    def __init__(self, case_id: str, *, examiner: str, folder: PathLike | None = None) -> None:
        """Open an existing case.

        Args:
            case_id: id of the case, as printed by ``faceloupe case list``.
            examiner: name that the log records for all actions.
            folder: data folder of the cases; if None, ``FACELOUPE_DATA`` or the user's data folder.

        Raises:
            CaseError: the case does not exist, or the folder cannot be used.
        """
        self.store = CaseStore(data_folder() if folder is None else Path(folder))
        self.id = self.store.case(case_id).id
        self.examiner = examiner

    @classmethod
    def create(cls, name: str, *, examiner: str, folder: PathLike | None = None, blind: bool = False) -> "Case":
        """Create a case.

        Args:
            name: name of the case.
            examiner: examiner in charge.
            folder: see ``Case``.
            blind: hide scores from each examiner until that examiner has entered a decision; cannot be changed later.

        Raises:
            UsageError: the name of the case or of the examiner is empty.
            CaseError: the folder cannot be used.
        """
        store = CaseStore(data_folder() if folder is None else Path(folder))
        made = store.create_case(name, examiner=examiner, blind=blind)
        return cls(made.id, examiner=examiner, folder=folder)

    def add(self, evidence: PathLike, analyzer: Analyzer) -> Run:
        """File a copy of the evidence, analyze the copy, and file the report.

        Raises:
            FaceLoupeError: the file cannot be read or stored; the log records the failure.
        """
        item = self.file(evidence, max_bytes=analyzer.settings.max_bytes)
        return self._workflow(analyzer.settings).analyze(item, analyzer.networks, progress=_silent)

    def file(self, evidence: PathLike, *, max_bytes: int | None = None) -> Item:
        """File a copy of the evidence without analyzing it.

        Raises:
            FaceLoupeError: the file cannot be read or stored; the log records the failure.
        """
        path, settings = Path(evidence), Settings()
        open_file = partial(_open, path, settings.max_bytes if max_bytes is None else max_bytes)
        return self._workflow(settings).file(open_file, printable_name(path.name), progress=_silent)

    def export(self, target: PathLike, *, with_evidence: bool = False) -> Path:
        """Write a signed bundle that ``verify_bundle`` can check; a failed export leaves no file behind.

        Raises:
            UsageError: the target exists or cannot be written.
            CaseError: the store cannot be used, or its data is damaged.
        """
        path = Path(target)
        export_case(self.store, self.id, path, actor=self.examiner, with_evidence=with_evidence)
        return path

    def _workflow(self, settings: Settings) -> CaseWorkflow:
        return CaseWorkflow(self.store, self.id, self.examiner, settings)


def verify_bundle(bundle: PathLike, *, key: bytes | None = None) -> bundle_verify.Verification:
    """Check every hash, the chained log and the signature of an exported case.

    Args:
        bundle: path of the ZIP file.
        key: public key that the signature is checked with, PEM; the key in the bundle if None.

    Raises:
        UsageError: the file cannot be read, or is not a ZIP file.
        BundleError: ``key`` is not a public key.
    """
    path = Path(bundle)
    try:
        with path.open("rb") as stream:
            return bundle_verify.verify(stream, key=key)
    except OSError as problem:
        raise UsageError(f"{printable_name(path.name)} cannot be read ({problem.strerror}).") from problem


def _open(path: Path, max_bytes: int, step: Callable[[float], None]) -> EvidenceFile:
    return open_evidence(path, max_bytes=max_bytes, step=step)


def _silent(_stage: str, _share: float) -> None:
    """Ignore progress reports."""
