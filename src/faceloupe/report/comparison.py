"""What two reports say, fact by fact."""

from dataclasses import dataclass

from faceloupe.report.schema import Report


@dataclass(frozen=True, slots=True)
class ComparedFact:
    """A fact that both reports state.

    Attributes:
        first: as text; a dash where it does not exist.
        second: likewise.
    """

    name: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether both state the same."""
        return self.first == self.second


def compared_facts(first: Report, second: Report) -> tuple[ComparedFact, ...]:
    """Compare what was examined, how, and what was found."""
    return tuple(
        ComparedFact(name, before, after)
        for (name, before), (_, after) in zip(_facts(first), _facts(second), strict=True)
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    evidence, model, decisive = report.evidence, report.model, report.decisive
    return [
        ("SHA-256", evidence.sha256),
        ("Size", f"{evidence.size_bytes:,} bytes"),
        ("Format", evidence.format or "-"),
        ("Pixels", f"{evidence.width} x {evidence.height}" if evidence.width else "-"),
        ("Duration", "-" if evidence.duration_s is None else f"{evidence.duration_s:.3f} s"),
        ("Model", f"{model.id} ({model.weights_sha256[:8]})"),
        ("Effort", report.settings.effort or "-"),
        ("Version", report.tool.version),
        ("Outcome", report.outcome.replace("_", " ")),
        ("Score", _number(report.score, ".4f")),
        ("log10 LR", _number(report.log10_lr, "+.3f")),
        ("Raw logit of the decisive face", _number(decisive.raw_logit if decisive else None, "+.4f")),
        ("Size of the decisive face", f"{decisive.size_px:.0f} px" if decisive else "-"),
        ("Sharpness of the decisive face", f"{decisive.sharpness:.0f}" if decisive else "-"),
        ("Faces scored", str(sum(face.score is not None for face in report.faces))),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
