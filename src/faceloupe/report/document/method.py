"""The end of a case report: method, scope, and the log."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from faceloupe.report.case_schema import LogEntry, LogRecord
from faceloupe.report.document.blocks import Block, Bullets, Cell, Facts, Heading, Lines, Paragraph, Style, Table, Text
from faceloupe.report.document.exhibits import Exhibit, grouped, items_text
from faceloupe.report.document.format import NONE, Texts, code, flat, number, record_cell, runs_of, shown
from faceloupe.report.numerals import percent
from faceloupe.report.schema import ModelInfo, Report, Tool

Part = TypeVar("Part")
_SHA256 = re.compile("[0-9a-f]{64}")
_UTC = re.compile(r"([0-9-]{10})T([0-9:]{8})(?:\.[0-9]+)?(?:Z|\+00:00)")
_REVEALING_PARAMETERS = {"outcome", "score", "log10_lr", "reason"}  # parameters of the log that reveal findings


def method(items: Sequence[Exhibit], texts: Texts) -> Iterator[Block]:
    """Yield the models, settings and software, each variant once with the items that it applies to."""
    reports = [(exhibit.number, exhibit.report) for exhibit in items if exhibit.report]
    yield Heading(2, texts["method"], "method")
    if not reports:
        yield Paragraph(Text(texts["no_method"]))
        return
    yield Paragraph(Text(texts["method_text"]))
    yield from _variants("model", [(item, report.model) for item, report in reports], _model, texts)
    yield Heading(3, texts["settings"], "method-settings")
    yield _settings(reports, texts)
    yield from _variants("tool", [(item, report.tool) for item, report in reports], _software, texts)


def _variants(
    part: str, contents: Sequence[tuple[int, Part]], facts: Callable[[Part, Texts], Facts], texts: Texts
) -> Iterator[Block]:
    """Yield each version of one part of the reports once, with the items that it applies to."""
    for version, (content, numbers) in enumerate(grouped(contents), 1):
        yield Heading(3, texts[f"{part}_of"].format(items=items_text(numbers, texts)), f"method-{part}-{version}")
        yield facts(content, texts)


def _model(model: ModelInfo, texts: Texts) -> Facts:
    calibrator = model.calibrator
    fit = texts["calibrator_value"].format(
        id=shown(calibrator.id),
        kind=shown(calibrator.kind),
        slope=number(texts, calibrator.slope, 4),
        intercept=number(texts, calibrator.intercept, 4),
    )
    thresholds = {"lower": number(texts, model.thresholds.lower, 4), "upper": number(texts, model.thresholds.upper, 4)}
    rows: list[tuple[str, Cell]] = [
        (texts["model"], Text(shown(model.id))),
        (texts["architecture"], Text(shown(model.architecture))),
        (texts["weights_sha256"], code(model.weights_sha256)),
        (texts["record_sha256"], code(model.record_sha256)),
        (texts["calibrator"], Text(fit)),
        (texts["fitted_on"], record_cell(texts, calibrator.fitted_on)),
        (texts["thresholds"], Text(texts["thresholds_value"].format(**thresholds))),
        lr_bounds(model, texts),
        *error_rates(model, texts),
        (texts["scale_end"], Text(texts["peak_value"].format(value=number(texts, model.explanation_max, 3)))),
    ]
    if model.members:
        rows.insert(2, (texts["members"], Text(", ".join(shown(member) for member in model.members))))
    return Facts(tuple(rows))


def lr_bounds(model: ModelInfo, texts: Texts) -> tuple[str, Cell]:
    """Return the row with the bounds of the likelihood ratios of a model."""
    bounds = model.log10_lr_bounds
    limits = {"lower": number(texts, bounds.lower, signed=True), "upper": number(texts, bounds.upper, signed=True)}
    return texts["lr_bounds"], Text(texts["lr_bounds_value"].format(**limits))


def error_rates(model: ModelInfo, texts: Texts) -> Iterator[tuple[str, Cell]]:
    """Yield rows with the error rates of a model, their intervals, and the material that they were measured on."""
    rates = model.error_rates
    for name, share, interval, count in (
        ("fpr", rates.fpr, rates.interval_95.fpr, rates.n_real),
        ("fnr", rates.fnr, rates.interval_95.fnr, rates.n_fake),
    ):
        rate, low, high = (percent(value, texts["language"]) for value in (share, *interval))
        yield texts[name], Text(texts["rate"].format(rate=rate, low=low, high=high, count=number(texts, count, 0)))
    yield texts["between"], Text(percent(rates.inconclusive, texts["language"]))
    yield texts["measured_on"], record_cell(texts, rates.measured_on)


def _settings(reports: Sequence[tuple[int, Report]], texts: Texts) -> Table:
    """Return the table of all settings; a setting that differs between items has a row for each value."""
    values = grouped(
        (item, setting) for item, report in reports for setting in flat(msgspec.to_builtins(report.settings))
    )
    names = list(dict.fromkeys(setting[0] for setting, _ in values))
    rows = tuple(
        (code(name), Text(value), Text(runs_of(items)))
        for (name, value), items in sorted(values, key=lambda entry: names.index(entry[0][0]))
    )
    return Table(texts["settings"], (texts["setting"], texts["value"], texts["items"]), rows, (60, 70, 44))


def _software(tool: Tool, texts: Texts) -> Facts:
    commit = shown(tool.git_commit or texts["no_commit"])
    rows: list[tuple[str, Cell]] = [
        (
            shown(tool.name),
            Text(f"{shown(tool.version)}, {commit}" + (f", {texts['modified']}" if tool.modified else "")),
        )
    ]
    rows += [(shown(name), Text(shown(version))) for name, version in tool.libraries.items()]
    return Facts(tuple(rows))


def scope(items: Sequence[Exhibit], texts: Texts) -> Iterator[Block]:
    """Yield the limits of the findings, each line once, with the items that it applies to."""
    yield Heading(2, texts["scope"], "scope")
    lines = grouped((exhibit.number, line) for exhibit in items if exhibit.report for line in exhibit.report.scope)
    if not lines:
        yield Paragraph(Text(texts["no_method"]))
        return
    by_items: dict[tuple[int, ...], list[str]] = {}
    for line, numbers in lines:
        by_items.setdefault(tuple(numbers), []).append(line)
    for position, (items_in, sentences) in enumerate(sorted(by_items.items(), key=lambda entry: -len(entry[0])), 1):
        yield Heading(3, texts["scope_of"].format(items=items_text(items_in, texts)), f"scope-{position}")
        yield Bullets(tuple(record_cell(texts, line) for line in sentences))


def log(chain: LogRecord, items: Sequence[Exhibit], texts: Texts, most: int | None) -> Iterator[Block]:
    """Yield the first ``most`` entries of the log; None for all entries, 0 for only its length and head.

    Parameters that reveal the findings of the tool are hidden while the findings on any item are withheld.
    """
    entries = chain.entries
    hide = any(exhibit.withheld for exhibit in items)
    yield Heading(2, texts["log"], "log")
    if not entries:
        yield Paragraph(Text(texts["log_empty"]))
        return
    yield Paragraph(Text(texts["log_text"]))
    if most == 0:
        yield Paragraph(Text(texts["log_left_out"].format(count=number(texts, len(entries), 0))))
        yield Facts(((texts["log_head"], code(chain.head_sha256)),))
        return
    yield Table(
        texts["log"],
        tuple(texts[key] for key in ("entry", "when", "actor", "action", "entry_sha256")),
        tuple(_entry(entry, hide=hide, texts=texts) for entry in entries[:most]),
        (10, 30, 26, 72, 36),
    )
    if most is not None and len(entries) > most:
        shown_of = {"shown": number(texts, most, 0), "count": number(texts, len(entries), 0)}
        yield Paragraph(Text(texts["log_cut"].format(**shown_of)))
    yield Facts(((texts["log_head"], code(chain.head_sha256)),))


def _entry(entry: LogEntry, *, hide: bool, texts: Texts) -> tuple[Cell, ...]:
    parameters = entry.parameters
    if isinstance(parameters, Mapping):  # the parameters of a broken entry may be any text
        shown_values = {
            name: texts["withheld"] if hide and name in _REVEALING_PARAMETERS else value
            for name, value in parameters.items()
        }
        details = [f"{name.replace('_', ' ')}: {_plain_value(value, texts)}" for name, value in shown_values.items()]
    else:
        details = [str(parameters)]
    return (
        Text(str(entry.seq), Style.NUMBER),
        Text(shown(_to_the_second(entry.utc))),
        Text(shown(entry.actor)),
        Lines(
            (
                Text(shown(entry.action), Style.STRONG),
                *(code(line) if _SHA256.search(line) else Text(shown(line)) for line in details),
            )
        ),
        code(entry.sha256),
    )


def _to_the_second(utc: str) -> str:
    """Return a time of the log without fractions of a second; a text that is not such a time is returned unchanged."""
    match = _UTC.fullmatch(utc)
    return f"{match[1]} {match[2]}" if match else utc


def _plain_value(value: object, texts: Texts) -> str:
    """Return a JSON value of a log entry for readers, without quotes and brackets."""
    if isinstance(value, bool):
        return texts["yes" if value else "no"]
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain_value(part, texts)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain_value(part, texts) for part in value)
    return str(value)
