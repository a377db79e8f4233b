"""FaceLoupe: a workbench for the forensic examination of faces in photographs and videos.

    from faceloupe import Analyzer

    analyzer = Analyzer()
    report = analyzer.analyze("portrait.jpg")
    print(report.outcome, report.score, report.reason)

The names in ``__all__`` are the public interface; ``docs/api.md`` shows how to use it. Each name is imported on first
use, which keeps ``import faceloupe`` fast.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceloupe.api import Analyzer, Case, analyze, verify_bundle
    from faceloupe.bundle.verify import Verification
    from faceloupe.config import Sampling, Settings
    from faceloupe.errors import (
        BundleError,
        Cancelled,
        CaseError,
        EvidenceError,
        FaceLoupeError,
        ReportError,
        UsageError,
        WeightsError,
    )
    from faceloupe.report.schema import Report
    from faceloupe.types import Outcome

__version__ = "0.5.0.dev0"

__all__ = [
    "Analyzer",
    "BundleError",
    "Cancelled",
    "Case",
    "CaseError",
    "EvidenceError",
    "FaceLoupeError",
    "Outcome",
    "Report",
    "ReportError",
    "Sampling",
    "Settings",
    "UsageError",
    "Verification",
    "WeightsError",
    "__version__",
    "analyze",
    "verify_bundle",
]

_MODULES = {
    "Analyzer": "api",
    "Case": "api",
    "Outcome": "types",
    "Report": "report.schema",
    "Sampling": "config",
    "Settings": "config",
    "Verification": "bundle.verify",
    "analyze": "api",
    "verify_bundle": "api",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless the application configures logging


def __getattr__(name: str) -> object:
    """Import a public name on first access (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
