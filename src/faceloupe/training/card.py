"""The model card, generated from an evaluation and the model records; it is never edited by hand."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from faceloupe.evaluation import plots
from faceloupe.evaluation.measures import NAMES, AucRow, Curves, Measures, across, of_model, shown
from faceloupe.evaluation.published import Evaluation, FaultRow, LeftOutRow, Study
from faceloupe.models.record import ModelRecord


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _counts(row: Measures | AucRow) -> str:
    return f"{row.n_real} / {row.n_fake}"


def _full(rows: Iterable[tuple[str, Measures]], head: str) -> str:
    """Return a table of all measures with their intervals, one row for each named part."""
    body = [(part, _counts(row), *(shown(getattr(row, key)) for key in NAMES)) for part, row in rows]
    return table((head, "authentic / manipulated", *NAMES.values()), body)


def _across(rows: Sequence[AucRow], measure: str, head: str) -> str:
    """Return a table of one measure, one row for each part and one column for each model."""
    if not rows:
        return "Not measured."
    counts = {row.part: _counts(row) for row in rows}
    models, body = across(rows, measure)
    return table((head, "authentic / manipulated", *models), [(part, counts[part], *cells) for part, cells in body])


def _identity(record: ModelRecord) -> tuple[str, ...]:
    rates = record.error_rates
    low, high = record.log10_lr_bounds
    return (
        record.id,
        record.architecture if not record.members else "mean log LR of " + ", ".join(record.members),
        f"{record.parameters:,}",
        f"{record.input.size} px at {', '.join(map(str, record.input.views))}",
        record.calibrator.id,
        f"{record.thresholds.lower:.3f} / {record.thresholds.upper:.3f}",
        f"{low:.2f} .. {high:.2f}",
        f"{rates.fpr:.1%} / {rates.fnr:.1%}",
        f"{1 - rates.inconclusive:.1%}",
    )


def _confusion(curves: Curves) -> str:
    heads = ("", "called authentic", "inconclusive", "called manipulated")
    rows = zip(("authentic", "manipulated"), curves.confusion, strict=True)
    return table(heads, [(name, *map(str, row)) for name, row in rows])


def _calibrators(records: Sequence[ModelRecord]) -> str:
    body = [
        (record.id, kind, f"{ece:.3f}", f"{cllr:.3f}", "kept" if kind == record.calibrator.kind else "")
        for record in records
        for kind, (ece, cllr) in record.calibration.compared.items()
    ]
    return table(("model", "calibrator", "ECE", "Cllr", ""), body)


def _left_out(study: Study[LeftOutRow] | None) -> str:
    if study is None:
        return "Not measured."
    aucs = [row.auc.value for row in study.rows if row.auc.value is not None]
    photos = [row.fpr.value for row in study.rows if row.fpr.value is not None]
    return (
        f"Short runs of {study.pictures:,} pictures each, at {study.sizes[-1]} px. A fold leaves out all sources "
        "of its letter, and both splits of them are judged, at thresholds fitted on the sources that were kept. Mean "
        f"AUC over the sources with both classes: {sum(aucs) / len(aucs):.3f}. Worst share of authentic faces called "
        f"manipulated: {max(photos):.3f}.\n\n"
        + _full(((f"{row.source} ({row.fold})", row) for row in study.rows), "source (fold)")
    )


def _heatmaps(evaluation: Evaluation) -> str:
    body = [
        (row.model, row.part, f"{row.faces} ({row.blank})", *map(_number, (row.mass, row.area, row.gain)))
        for row in evaluation.tables.heatmaps
    ]
    heads = (
        "model",
        "faces",
        "counted (blank maps)",
        "mass inside the mask",
        "mask's share",
        "times chance, mean a face",
    )
    return table(heads, body)


def _clips(evaluation: Evaluation, default: str) -> str:
    body = [
        (row.source, row.clip, row.method, str(row.frames), f"{row.log_odds:+.2f}")
        for row in evaluation.clips
        if row.model == default
    ]
    return table(("source", "clip", "method", "frames", "mean log-odds"), body)


def _draw(evaluation: Evaluation, own: set[str], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    curves = evaluation.curves
    calibrated = {model: curve for model, curve in curves.items() if model in own}  # peers are not calibrated
    ladder: dict[str, dict[str, float]] = {}
    for row in evaluation.tables.conditions:
        if row.auc.value is not None:
            ladder.setdefault(row.model, {})[row.part] = row.auc.value
    pictures = {
        "roc": plots.roc(curves),
        "reliability": plots.reliability(calibrated),
        "tippett": plots.tippett(calibrated),
        "conditions": plots.ladder(ladder, "AUC over all validation faces"),
    }
    for name, content in pictures.items():
        (folder / f"{name}.png").write_bytes(content)
    return [folder / f"{name}.png" for name in pictures]


def write(evaluation: Evaluation, records: Sequence[ModelRecord], path: Path) -> None:
    """Write the card, and its figures to a folder of the same name beside it."""
    default = next((record for record in records if record.id == evaluation.default), records[0])
    folder = path.with_suffix("")
    drawn = _draw(evaluation, {record.id for record in records}, folder)
    figures = "\n".join(f"![{figure.stem}]({folder.name}/{figure.name})" for figure in drawn)
    tables = evaluation.tables
    limits = "\n".join(f"- {limit}" for limit in default.limits)
    heads = (
        "model",
        "architecture",
        "parameters",
        "input, margins",
        "calibrator",
        "thresholds",
        "log10 LR bounds",
        "error rates: false manipulated / false authentic",
        "coverage",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""# Model card

Written by `python -m faceloupe.training evaluate`. Polarity everywhere: 1 = manipulated, 0 = authentic. Intervals,
in brackets, are 95 %, from a bootstrap over people, videos or pictures, whichever is the independent unit. Where one
model is looked at, it is **{default.id}**, which the fusions weigh; the Meso rows are MesoNet's
original weights (Afchar et al. 2018) behind the same faces.

{table(heads, [_identity(record) for record in records])}

**Trained on** {default.trained_on}.

**Knows** {default.manipulations}.

**License.** {default.license}.

**Decision.** A face's logit is the mean over its framings, calibrated at even prior odds. At or above the upper
threshold: manipulated. At or below the lower: authentic. Between: inconclusive. The thresholds are the narrowest band
that keeps the share of wrong calls on either side of it within 3 % of the faces that set them. Every rate here was
counted on folds that did not set them, and there that share can be larger: see the outcomes by class below.
Which average of the weights, which calibrator and whether an ensemble is kept was chosen on these same faces,
which is a little kind to the numbers; sources left out of training and clips never looked at stand further below.

**Gates.** A face is scored from {default.gates.min_size_px:.0f} px, sharpness {default.gates.min_sharpness:.1f} and
detector confidence {default.gates.min_confidence:.2f} upward; the tables are before the gates.

## Limits

{limits}

## Validation faces, {default.id}

{_full(of_model(tables.sources, default.id), "source")}

{_confusion(evaluation.curves[default.id])}

## All models, AUC by source

{_across(tables.sources, "auc", "source")}

{_across(tables.people, "auc", "set")}

## All models, calibration

{_across(tables.sources, "ece", "ECE by source")}

{_across(tables.sources, "cllr", "Cllr by source")}

{_calibrators(records)}

## By size of the face, {default.id}

{_full(of_model(tables.sizes, default.id), "face in the stored picture")}

## After what may befall a picture

{_across(tables.conditions, "auc", "AUC")}

{_across(tables.conditions, "fpr", "authentic called manipulated")}

{_across(tables.conditions, "coverage", "coverage")}

## Clips

Mean log-odds over at most 16 evenly spaced frames of the largest face. `ffpp_c23` is of people whose other material was
not trained on; `ffpp_c23_other` and the controls were never trained, tuned or calibrated on. So few clips say little.

{_across(tables.clips, "auc", "AUC per clip")}

{_clips(evaluation, default.id)}

## Sources left out of training

{_left_out(evaluation.studies.left_out)}

## Does the heatmap point at the manipulation?

Validation photos with a face or a part of it blended in, so that the changed pixels are known: mean share of the
Grad-CAM mass inside the mask, against the mask's share of the picture that the network sees (what a map without
knowledge reaches), and against a network of random weights.

{_heatmaps(evaluation)}

## Figures

{figures}
""",
        encoding="utf-8",
    )


def write_robustness(study: Study[FaultRow], path: Path) -> None:
    """Write the page on the effects of each training fault, from the study of the faults."""
    measured = ("auc", "mean_auc", "ece", "cllr", "calibrated_ece", "calibrated_cllr")
    body = [(row.fault, *(_number(getattr(row, key)) for key in measured)) for row in study.rows]
    heads = ("fault", "AUC, all faces", "mean AUC by source", "ECE", "Cllr", "ECE calibrated", "Cllr calibrated")
    path.write_text(
        f"""# What a faulty training does to a detector

Written by `python -m faceloupe.training faults`. One short run of {study.pictures:,} pictures for each fault, all
else alike; measured on the validation faces, before and after a Platt calibration on held-out folds. A run under a
fault says so in its `run.json` and is refused by the calibrate stage: it can never be registered.

{table(heads, body)}

| fault | what it does |
|---|---|
| label_noise:x | flips that share of the labels |
| shuffle_labels | shuffles the labels within the batch |
| input_noise:x | adds Gaussian noise of that deviation to the normalized input |
| wrong_loss | mean squared error of the probability in the place of cross-entropy |
| shuffle_batch | moves the batch's pictures on by one place, labels staying |
| random_weight_reset:x | draws one layer anew, with that probability a step |
| skip_update:n | leaves out every n-th update |
""",
        encoding="utf-8",
    )
