"""``faceloupe case export``, ``verify`` and ``reproduce``: their arguments and actions."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from faceloupe.cases.store import CaseStore
from faceloupe.cli.arguments import folder
from faceloupe.cli.console import Console
from faceloupe.errors import BundleError, UsageError
from faceloupe.report.document.locales import LANGUAGES

if TYPE_CHECKING:
    from faceloupe.bundle.verify import Verification


def export(store: CaseStore, actor: str, options: argparse.Namespace, console: "Console") -> int:
    """Run ``faceloupe case export``; return the exit code."""
    from faceloupe.bundle.export import MOST_DRAWN, export_case  # lazy import: other commands do not need it
    from faceloupe.report.document.case import Letterhead

    try:
        exported = export_case(
            store,
            options.case,
            options.out,
            actor=actor,
            with_evidence=options.with_evidence,
            letterhead=Letterhead(options.organization),
            language=options.language,
            progress=console.progress,
        )
    finally:
        console.clear()
    console.emit(f"Bundle    {options.out}")
    console.emit(f"Manifest  SHA-256 {exported.manifest_sha256}")
    console.emit(f"Key       SHA-256 {exported.fingerprint}")
    if exported.withheld_runs:
        console.complain(
            f"Runs that are not in the bundle, as a blind case keeps them from {actor} until {actor} has decided their "
            f"items there: {exported.withheld_runs:,}."
        )
    if not exported.drawn:
        console.complain(
            f"The bundle contains no HTML and PDF report: these are made for up to {MOST_DRAWN} items, and only if no "
            "result is withheld."
        )
    if not exported.log_good:
        console.complain("The log of the case is broken; `faceloupe verify` will report it for this bundle.")
    return 0


def verify(options: argparse.Namespace, console: "Console") -> int:
    """Run ``faceloupe verify``; return the exit code."""
    with _opened(options.bundle) as stream:
        return 0 if _verified(stream, options, console).good else 1


def reproduce(options: argparse.Namespace, console: "Console") -> int:
    """Run ``faceloupe reproduce``; return the exit code."""
    from faceloupe.bundle import reproduce as work  # lazy import: other commands do not need it

    with _opened(options.bundle) as stream:
        if not _verified(stream, options, console).good:
            return 1
        scores: list[float] = []
        logits: list[float] = []
        problems, compared, items = 0, 0, 0
        for item in work.reproduce(stream, folder=options.evidence, progress=console.progress):
            console.clear()
            items += 1
            label = f"{item.sha256[:12]}  {item.name}"
            if item.score_difference is not None and item.logit_difference is not None:
                scores.append(item.score_difference)
                logits.append(item.logit_difference)
                console.emit(f"{label}: differs by {scores[-1]:.3g} in score, {logits[-1]:.3g} in logit")
            elif not item.problem:
                console.emit(f"{label}: same outcome, no score to compare")
            compared += item.score_difference is not None or not item.problem
            for version in item.versions:
                console.emit(f"{label}: {version}")
            if item.problem:
                problems += 1
                console.complain(f"{label} was not reproduced: {item.problem}")
        differences = f"score {max(scores):.3g}, logit {max(logits):.3g}" if scores else "nothing to compare"
        console.emit(f"Largest difference over {compared:,} of {items:,} examined items: {differences}")
    return 1 if problems else 0


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as problem:
        raise UsageError(f"The bundle {path} cannot be opened ({problem.strerror}); check the path.") from problem
    with stream:
        yield stream


def _verified(stream: BinaryIO, options: argparse.Namespace, console: "Console") -> "Verification":
    """Check a bundle and print the findings."""
    from faceloupe.bundle.verify import verify as check  # lazy import: other commands do not need it

    try:
        key = options.key.read_bytes() if options.key else None
    except OSError as problem:
        raise UsageError(f"The key {options.key} cannot be read ({problem.strerror}); check the path.") from problem
    try:
        verification = check(stream, key=key, step=partial(console.progress, "Hashing"))
    except OSError as problem:
        cause = problem.strerror or "it is not a regular file"
        raise UsageError(f"The bundle {options.bundle} cannot be read ({cause}); give a file.") from problem
    except BundleError as problem:  # the key is unusable; problems of the bundle are findings
        raise UsageError(str(problem)) from problem
    finally:
        console.clear()
    for finding in verification.findings:
        if finding.good:
            console.emit(f"good  {finding.text}")
        else:
            console.complain(finding.text)
    for sentence in verification.unchecked:
        console.complain(f"not checked: {sentence}")
    return verification


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``faceloupe case export``, except the id of the case."""
    parser.add_argument(
        "--out", metavar="BUNDLE.zip", type=Path, required=True, help="file to write; it must not exist"
    )
    parser.add_argument("--with-evidence", action="store_true", help="include the evidence files")
    parser.add_argument("--examiner", metavar="WHO", help="name of the examiner (default: the user who is logged in)")
    parser.add_argument(
        "--language",
        metavar="CODE",
        choices=LANGUAGES,
        default=LANGUAGES[0],
        help=f"language of the report: {', '.join(LANGUAGES)} (default: {LANGUAGES[0]})",
    )
    parser.add_argument(
        "--organization", metavar="TEXT", default="", help="organization that issues the report (default: none)"
    )


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``faceloupe verify``."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument(
        "--key", metavar="PUBLIC.pem", type=Path, help="public key that the bundle must be signed with (default: any)"
    )


def add_reproduce(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``faceloupe reproduce``."""
    add_verify(parser)
    parser.add_argument(
        "--evidence", metavar="FOLDER", type=folder, help="folder with the evidence that is not in the bundle"
    )
