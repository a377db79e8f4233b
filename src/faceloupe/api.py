"""The Python interface: what ``faceloupe`` exports, for scripts and other programs."""

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
    """Analyzes images and videos with one model, on one device, within one set of limits.

    The weights are verified and loaded once, which takes a few seconds; threads may share an analyzer. Every report
    states the settings of the analyzer that made it.
    """

    def __init__(
        self, effort: str | None = None, *, settings: Settings | None = None, weights: PathLike | None = None
    ) -> None:
        """Load and verify the weights.

        Args:
            effort: ``quick``, ``standard`` or ``thorough``; that of the settings where None, which is ``standard``
                unless they say otherwise.
            settings: model, device, limits and detection; the defaults where None. Environment variables count only
                in ``Settings.from_environment()``.
            weights: folder of the records and weights; ``FACELOUPE_WEIGHTS`` or those of the package where None.

        Raises:
            UsageError: there is no such effort or device, or an effort and a model are both named.
            WeightsError: the weights are missing or not the verified ones.
        """
        settings = settings or Settings()
        if effort is not None:
            if settings.model:
                raise UsageError(f"Name the effort {effort} or the model {settings.model}, not both.")
            settings = replace(settings, effort=effort)
        self._networks = pipeline.Networks.load(settings, folder=None if weights is None else Path(weights))

    @property
    def settings(self) -> Settings:
        """Settings of every analysis by this analyzer; a call may replace the sampling of a video."""
        return self._networks.settings

    @property
    def networks(self) -> pipeline.Networks:
        """The loaded networks, as the modules of the package take them."""
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
        """Analyze one image or video, whichever its content is.

        Args:
            evidence: path of the file, or one that was opened already.
            sampling: which frames of a video are analyzed; that of the settings where None.
            explain: compute heatmaps, so that the report states their peaks.
            out: folder to write the report and the heatmaps to; implies ``explain``.
            progress: called with the stage and the share done, 0..1.
            cancel: asked between the steps; True stops the work.

        Returns:
            The report. A file that cannot be decoded has the outcome ``error`` and its reason.

        Raises:
            UsageError: there is no such file, it cannot be read, a segment is not in the video, or ``out`` cannot be
                written. Where ``out`` holds a report already, it is refused before the work.
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
    """Analyze one file with an analyzer of its own; for several files, make an ``Analyzer`` once.

    Raises:
        UsageError, WeightsError: see ``Analyzer``.
    """
    return Analyzer(effort).analyze(evidence, sampling=sampling)


class Case:
    """One person's work on one case: evidence, analyses, and the log of it all.

    Attributes:
        id: of the case.
        examiner: whose work the log says it is; names are not verified.
        store: all cases of the data folder.
    """

    def __init__(self, case_id: str, *, examiner: str, folder: PathLike | None = None) -> None:
        """Open a case that exists.

        Args:
            case_id: as ``faceloupe case list`` prints it.
            examiner: whose work it is.
            folder: data folder of the cases; ``FACELOUPE_DATA`` or the user's own where None.

        Raises:
            CaseError: there is no such case, or the folder cannot be used.
        """
        self.store = CaseStore(data_folder() if folder is None else Path(folder))
        self.id = self.store.case(case_id).id
        self.examiner = examiner

    @classmethod
    def create(cls, name: str, *, examiner: str, folder: PathLike | None = None, blind: bool = False) -> "Case":
        """Create a case.

        Args:
            name: of the case.
            examiner: who is in charge.
            folder: see ``Case``.
            blind: keep scores from each examiner until that examiner has entered a decision; for good.

        Raises:
            UsageError: the case or the examiner is not named.
            CaseError: the folder cannot be used.
        """
        store = CaseStore(data_folder() if folder is None else Path(folder))
        made = store.create_case(name, examiner=examiner, blind=blind)
        return cls(made.id, examiner=examiner, folder=folder)

    def add(self, evidence: PathLike, analyzer: Analyzer) -> Run:
        """File a copy of the evidence, analyze the copy, and file the report.

        Raises:
            FaceLoupeError: the file cannot be read or kept; the log says so.
        """
        item = self.file(evidence, max_bytes=analyzer.settings.max_bytes)
        return self._workflow(analyzer.settings).analyze(item, analyzer.networks, progress=_silent)

    def file(self, evidence: PathLike, *, max_bytes: int | None = None) -> Item:
        """File a copy of the evidence, not analyzed.

        Raises:
            FaceLoupeError: the file cannot be read or kept; the log says so.
        """
        path, settings = Path(evidence), Settings()
        open_file = partial(_open, path, settings.max_bytes if max_bytes is None else max_bytes)
        return self._workflow(settings).file(open_file, printable_name(path.name), progress=_silent)

    def export(self, target: PathLike, *, with_evidence: bool = False) -> Path:
        """Write a signed bundle that ``verify_bundle`` checks; it is written whole or not at all.

        Raises:
            UsageError: the target exists or cannot be written.
            CaseError: the store cannot be used, or what it keeps is damaged.
        """
        path = Path(target)
        export_case(self.store, self.id, path, actor=self.examiner, with_evidence=with_evidence)
        return path

    def _workflow(self, settings: Settings) -> CaseWorkflow:
        return CaseWorkflow(self.store, self.id, self.examiner, settings)


def verify_bundle(bundle: PathLike, *, key: bytes | None = None) -> bundle_verify.Verification:
    """Check every hash, the chained log and the signature of an exported case.

    Args:
        bundle: path of the ZIP.
        key: PEM of the public key that it should be signed with; the one in the bundle where None.

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
    """Tell nobody of the progress."""
