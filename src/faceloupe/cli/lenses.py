"""``faceloupe lenses``: what a file states about itself, and what its pixels show besides the model's score."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from faceloupe import __version__
from faceloupe.cli.arguments import folder
from faceloupe.cli.console import Console
from faceloupe.config import Settings
from faceloupe.errors import EvidenceError
from faceloupe.media.evidence import Evidence
from faceloupe.media.evidence_file import open_evidence

if TYPE_CHECKING:
    from faceloupe.forensics.registry import LensReport


_RESULT = "lenses.json"


def add_lenses(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--json", action="store_true", help="print only the result as JSON")
    parser.add_argument(
        "--out", metavar="DIR", type=folder, help="also write the result and its pictures to this folder"
    )
    parser.add_argument(
        "--trust-list",
        metavar="FILE",
        type=Path,
        help="certificates (PEM) of the authorities whose signers are trusted (default: the C2PA trust list that "
        "comes with FaceLoupe)",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also score the face again after small changes of the picture (default: not done)",
    )
    parser.add_argument("--gps", action="store_true", help="show the position that EXIF states (default: not shown)")


def lenses(options: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run ``faceloupe lenses``.

    Returns:
        The exit code: 0 the lenses ran, whatever they found; 2 no lens can read the file.
    """
    from faceloupe.analysis.pipeline import Networks  # heavy imports only after the arguments are checked
    from faceloupe.forensics.registry import LENSES, ROBUSTNESS, examine
    from faceloupe.forensics.source import FaceModel, LensSource, sidecar_of
    from faceloupe.forensics.trust import TrustList
    from faceloupe.report.write import publish, refuse_taken

    if options.out is not None:
        refuse_taken([_RESULT], options.out)  # before the analysis, not after it
    evidence_file = open_evidence(options.file, max_bytes=settings.max_bytes, step=partial(console.progress, "Hashing"))
    model = None
    if options.robustness:
        networks = Networks.load(settings)
        model = FaceModel(networks.detector, networks.scorer)
    try:
        source = LensSource(
            evidence_file,
            settings=settings,
            trust_list=None if options.trust_list is None else TrustList.named(options.trust_list),
            sidecar=sidecar_of(options.file),
            with_position=options.gps,
            face_model=model,
        )
        analysis = examine(source, progress=console.progress, lenses=(*LENSES, ROBUSTNESS) if model else LENSES)
    except EvidenceError as problem:
        console.clear()
        console.complain(f"{evidence_file.evidence.name} cannot be analyzed: {problem}")
        return 2
    console.clear()
    text = to_json(evidence_file.evidence, analysis.report)
    console.emit(text if options.json else _table(evidence_file.evidence, analysis.report))
    if options.out is not None:  # after printing: if the folder cannot be written, the result is not lost
        publish(analysis.pngs() | {_RESULT: f"{text}\n".encode()}, options.out)
    return 0


def to_json(evidence: Evidence, report: "LensReport") -> str:
    """Return the result as one JSON document, with the identity of the file."""
    identity = {
        "schema_version": "1",
        "tool": {"name": "FaceLoupe", "version": __version__},
        "evidence": {
            "name": evidence.name,
            "sha256": evidence.sha256,
            "size_bytes": evidence.size_bytes,
            "media_type": evidence.media_type,
            "format": evidence.format,
        },
    }
    document = identity | msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _table(evidence: Evidence, report: "LensReport") -> str:
    lines = [
        f"File        {evidence.name}",
        f"SHA-256     {evidence.sha256}",
        f"Content     {evidence.format or 'unknown'}, {evidence.size_bytes:,} bytes",
        f"Provenance  {report.provenance}",
        f"Generator   {report.generator or 'none claimed'}",
    ]
    for lens in report.lenses:
        lines += ["", lens.title, f"  Shows: {lens.shows}", f"  Does not show: {lens.does_not_show}"]
        lines += [f"  [{finding.severity}] {finding.text}" for finding in lens.findings] or ["  No findings."]
        lines += [f"  {fact.name}: {fact.value}" for fact in lens.facts]
        lines += [f"  Not complete: {lens.problem}"] if lens.problem else []
    return "\n".join(lines)
