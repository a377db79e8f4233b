"""Every error FaceLoupe raises on purpose, drawn once.

    FaceLoupeError
    ├── UsageError           the call itself is wrong (a missing file, a folder where a file belongs)
    ├── EvidenceError        the file is there, but cannot be analyzed (empty, corrupt, unsupported, too large)
    ├── WeightsError         weights or their record are missing, altered, or of another architecture
    ├── Cancelled            the caller asked to stop
    ├── CaseError            the case store refuses: no such case, a rule of the review, a store it cannot use or trust
    ├── ReportError          a report is not one of the schema: damaged, altered, or of another version
    ├── BundleError          a bundle is not what was exported: damaged, altered, or never one
    └── DatasetError         training material does not keep its own rules

A message says what was expected, what came, and what to do, in one sentence that can be shown to a user.
"""


class FaceLoupeError(Exception):
    """Base of every error raised on purpose; its text is fit to be shown to a user."""


class UsageError(FaceLoupeError):
    """The request cannot be carried out as it was made."""


class EvidenceError(FaceLoupeError):
    """The evidence was found and hashed, but cannot be analyzed."""


class WeightsError(FaceLoupeError):
    """No verified weights: nothing may be scored."""


class Cancelled(FaceLoupeError):
    """The caller cancelled the work."""


class CaseError(FaceLoupeError):
    """The case store cannot do this, or must not."""


class ReportError(FaceLoupeError):
    """A report does not have the form of one."""


class BundleError(FaceLoupeError):
    """A bundle cannot be relied on."""


class DatasetError(FaceLoupeError):
    """The training material is incomplete or contradicts itself."""
