"""The model card: written from the record, never by hand."""

from pathlib import Path

from faceloupe.models.records import ModelRecord


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def validation_table(record: ModelRecord) -> str:
    """The validation results by source, as a Markdown table."""
    lines = [
        "| source | real / fake | AUC | accuracy at .5 | accuracy of decided | inconclusive "
        "| authentic called manipulated | manipulated called authentic |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record.validation:
        values = (row.auc, row.accuracy, row.decided_accuracy, row.inconclusive, row.fpr, row.fnr)
        lines.append(f"| {row.source} | {row.n_real} / {row.n_fake} | " + " | ".join(map(_share, values)) + " |")
    return "\n".join(lines)


def write(record: ModelRecord, path: Path) -> None:
    """Write the card."""
    rates, (low, high) = record.error_rates, record.log10_lr_bounds
    intervals = {key: f"{a:.1%} to {b:.1%}" for key, (a, b) in rates.interval_95.items()}
    calibration = f"temperature {record.calibrator.temperature:.3f} and bias {record.calibrator.bias:.3f}"
    views = ", ".join(map(str, record.input.views))
    limits = "\n".join(f"- {limit}" for limit in record.limits)
    text = f"""# Model card: {record.id}

{record.architecture}, one logit, {record.parameters:,} parameters. Input: square crops {views} times
the longer side of the face box, {record.input.size} px, RGB; the logit of a face is the mean over them.
Polarity: 1 = manipulated, 0 = authentic.

**Trained on** {record.trained_on}.

**Knows** {record.manipulations}.

**License.** {record.license}.

**Decision.** Scores are calibrated with {calibration}, at even prior odds. At or above
{record.thresholds.upper:.3f}: manipulated. At or below {record.thresholds.lower:.3f}: authentic. Between: inconclusive.
log10 LR is bounded to {low:.2f} .. {high:.2f} by the size of the validation data.

**Gates.** A face is scored from {record.gates.min_size_px:.0f} px, sharpness {record.gates.min_sharpness:.1f} and
detector confidence {record.gates.min_confidence:.2f} upward.

## Error rates

Measured on {rates.measured_on}. {rates.inconclusive:.1%} of the faces were inconclusive.

| error | share | 95 % interval | faces |
|---|---|---|---|
| authentic called manipulated | {rates.fpr:.1%} | {intervals["fpr"]} | {rates.n_real} |
| manipulated called authentic | {rates.fnr:.1%} | {intervals["fnr"]} | {rates.n_fake} |

{validation_table(record)}

Calibration, on held-out folds: expected calibration error {record.calibration.ece:.3f}, Cllr
{record.calibration.cllr:.3f}.

## Limits

{limits}
"""
    path.write_text(text, encoding="utf-8")
