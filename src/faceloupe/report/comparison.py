"""Comparison of two reports, fact by fact."""

from dataclasses import dataclass

from faceloupe.report.schema import Report

FACTS = (
    "SHA-256",
    "Size",
    "Format",
    "Pixels",
    "Duration",
    "Model",
    "Effort",
    "Version",
    "Outcome",
    "Score",
    "log10 LR",
    "Raw logit of the decisive face",
    "Size of the decisive face",
    "Sharpness of the decisive face",
    "Faces scored",
)
"""Names of the facts that are compared, in the order of the values that ``_facts`` returns."""


@dataclass(frozen=True, slots=True)
class ComparedFact:
    """A fact that both reports state.

    Attributes:
        name: one of ``FACTS``.
        first: value in the first report, as text; a dash if there is none.
        second: value in the second report, as text; a dash if there is none.
    """

    name: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether both reports state the same value."""
        return self.first == self.second


def compared_facts(first: Report, second: Report) -> tuple[ComparedFact, ...]:
    """Compare the files, the methods and the findings of two reports."""
    return tuple(
        ComparedFact(name, before, after)
        for name, before, after in zip(FACTS, _facts(first), _facts(second), strict=True)
    )


def _facts(report: Report) -> list[str]:
    evidence, model, decisive = report.evidence, report.model, report.decisive
    return [
        evidence.sha256,
        f"{evidence.size_bytes:,} bytes",
        evidence.format or "-",
        f"{evidence.width} x {evidence.height}" if evidence.width else "-",
        "-" if evidence.duration_s is None else f"{evidence.duration_s:.3f} s",
        f"{model.id} ({model.weights_sha256[:8]})",
        report.settings.effort or "-",
        report.tool.version,
        report.outcome.replace("_", " "),
        _number(report.score, ".4f"),
        _number(report.log10_lr, "+.3f"),
        _number(decisive.raw_logit if decisive else None, "+.4f"),
        f"{decisive.size_px:.0f} px" if decisive else "-",
        f"{decisive.sharpness:.0f}" if decisive else "-",
        str(sum(face.score is not None for face in report.faces)),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
