"""The exceptions that FaceLoupe raises on purpose.

    FaceLoupeError
    ├── UsageError           the request is wrong (a missing file, a folder instead of a file)
    ├── EvidenceError        the file exists, but cannot be analyzed (empty, corrupt, unsupported, too large)
    ├── WeightsError         weights or their record are missing, altered, or of another architecture
    ├── Cancelled            the caller asked to stop
    ├── CaseError            the case store refuses: unknown case, a review rule, an unusable or damaged store
    ├── ReportError          a report does not match the schema: damaged, altered, or of another version
    ├── BundleError          a bundle is damaged, altered, or not a bundle at all
    └── DatasetError         training material is incomplete or contradicts itself

A message is one sentence that can be shown to a user. It says what was expected, what was found, and what to do.
"""


class FaceLoupeError(Exception):
    """Base of all errors raised on purpose; the message can be shown to a user."""


class UsageError(FaceLoupeError):
    """The request is wrong and cannot be carried out."""


class EvidenceError(FaceLoupeError):
    """The evidence was found and hashed, but cannot be analyzed."""


class WeightsError(FaceLoupeError):
    """The weights are missing or cannot be verified, so nothing may be scored."""


class Cancelled(FaceLoupeError):
    """The caller cancelled the work."""


class CaseError(FaceLoupeError):
    """The case store cannot or must not carry out the action."""


class ReportError(FaceLoupeError):
    """A report does not match the report schema."""


class BundleError(FaceLoupeError):
    """A bundle cannot be trusted."""


class DatasetError(FaceLoupeError):
    """The training material is incomplete or contradicts itself."""
