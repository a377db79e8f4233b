"""A report as a table for the terminal."""

import textwrap

from faceloupe.report.document.format import runs_of
from faceloupe.report.file_claims import disagreement
from faceloupe.report.finding import finding_of, next_steps
from faceloupe.report.schema import PersonShots, PooledScore, Report


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def table(report: Report) -> str:
    """Return the report as a readable table; every number comes from the report."""
    evidence, finding = report.evidence, finding_of(report)
    size = f"{evidence.width} x {evidence.height} px, " if evidence.width else ""
    if report.is_video:
        size += _video_facts(report)
    lines = [
        f"File       {evidence.name}",
        f"SHA-256    {evidence.sha256}",
        f"Content    {evidence.format or 'unknown'}, {size}{evidence.size_bytes:,} bytes",
        f"Effort     {report.settings.effort or 'none (a model was named)'}",
        f"Model      {report.model.id} (weights {report.model.weights_sha256[:8]}, verified)",
        f"Outcome    {finding.headline}",
        f"Reason     {report.reason}",
    ]
    if report.score is not None:
        lines += [
            f"Score      {report.score:.2f} (0 authentic .. 1 manipulated, at even prior odds)",
            f"log10 LR   {report.log10_lr:+.2f}: {report.verbal}",
            *_labeled("Finding", f"{finding.sentence} {finding.rests_on}"),
            *_labeled("Errors", finding.error_rates),
        ]
    for note in evidence.notes:
        lines += _labeled("Note", note)
    if origin := report.provenance:
        lines += _labeled(
            "Origin", f"Content Credentials {origin.state}, generator {origin.generator or 'none claimed'}"
        )
        lines += _labeled("", disagreement(report))
    if taken_from := evidence.origin:
        lines += _labeled("From", f"{taken_from.name}: {taken_from.kind}, at byte {taken_from.offset:,}")
    for number, piece in enumerate(evidence.embedded or (), 1):
        text = f"{piece.kind}, {piece.size:,} bytes from byte {piece.offset:,}; --embedded {number} analyzes it"
        lines += _labeled("Holds also", text)
    lines += _labeled("Next", " ".join(step.text for step in next_steps(report)))
    if report.is_video:
        lines += _people(report)
    elif report.image_faces:
        lines += [
            "",
            f"{'Face':>4}  {'Outcome':<14}  {'Score':>5}  {'log10 LR':>8}  {'Size px':>7}  Box x0, y0, x1, y1",
        ]
        for face in report.image_faces:
            corners = ", ".join(f"{value:.0f}" for value in face.box)
            lines.append(
                f"{face.id:>4}  {face.outcome.replace('_', ' '):<14}  {_number(face.score):>5}  "
                f"{_number(face.log10_lr, '+.2f'):>8}  {face.size_px:>7.0f}  {corners}"
            )
    return "\n".join(lines)


def _labeled(label: str, text: str) -> list[str]:
    """Return the lines of a text with a label before the first line."""
    return textwrap.wrap(text, 110, initial_indent=f"{label:<11}", subsequent_indent=" " * 11)


def _video_facts(report: Report) -> str:
    evidence, video = report.evidence, report.video
    if video is None:
        return ""
    rate = "frame rate unknown" if evidence.frame_rate is None else f"{evidence.frame_rate:.5g} frames/s"
    varying = " on average" if video.variable_frame_rate else ""
    return f"{video.codec}, {_number(evidence.duration_s)} s, {rate}{varying}, "


def _people(report: Report) -> list[str]:
    """Return the lines about the people, each followed by the lines of their shots."""
    analyzed, cuts = len(report.frames), len(report.cuts)
    between = f"{cuts} {'cut' if cuts == 1 else 'cuts'} between them"
    lines = [f"Frames     {analyzed} of {report.evidence.frame_count:,} analyzed, {between}"]
    if report.tracks:
        columns = f"{'Person':>6}  {'Track':>5}  {'Shot':>4}  {'Outcome':<14}  {'Score':>5}  {'95 % interval':<13}"
        lines += ["", f"{columns}  Seen (frames scored)"]
    for person in report.people_with_shots:
        tracks, pooled = person.tracks, person.pooled
        outcome = person.outcome.replace("_", " ") if person.outcome else ""
        lines.append(
            f"{person.person.id:>6}  {'':>5}  {'':>4}  {outcome:<14}  "
            f"{_number(pooled.score if pooled else None):>5}  {_interval(pooled):<13}  {_shots(person)}"
        )
        lines += [
            f"{'':>6}  {track.id:>5}  {track.shot:>4}  {track.outcome.replace('_', ' '):<14}  "
            f"{_number(track.score):>5}  {_interval(track.whole):<13}  "
            f"{track.first_s:.2f} s to {track.last_s:.2f} s ({track.frames_scored})"
            for track in tracks
        ]
    return lines


def _shots(person: PersonShots) -> str:
    """Return the number of a person's shots, and which of them support the verdict."""
    shots = "1 shot" if len(person.tracks) == 1 else f"{len(person.tracks)} shots"
    if len(person.tracks) == 1 or not person.agreeing:
        return shots
    return f"{shots}, of which {len(person.agreeing)} agree: {runs_of([track.shot for track in person.agreeing])}"


def _interval(pooled: PooledScore | None) -> str:
    if pooled is None or not pooled.has_interval:
        return "-"
    return "{:.2f} .. {:.2f}".format(*pooled.score_interval_95)
