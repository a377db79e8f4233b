"""Verdicts on transformed pictures and on the originals, kept in a journal so that a run can continue."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path

import msgspec
from msgspec import Struct

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.types import Outcome
from tools.evade.pictures import SPLITS, Drawn, drawn
from tools.evade.transforms import TRANSFORMATIONS, encoded

UNCHANGED = "unchanged"
_LOOKED_AT = 8  # most pictures that are analyzed for each one wanted


class Verdict(Struct, frozen=True, kw_only=True):
    """One line of the journal.

    Attributes:
        record: SHA-256 of the model's record.
        label: 1 = manipulated, 0 = authentic.
        location: location of the picture.
        transformation: ``UNCHANGED`` for the picture itself.
        score: None if nothing was scored.
    """

    record: str
    split: str
    label: int
    source: str
    location: str
    transformation: str
    outcome: Outcome
    score: float | None


class Judge:
    """Analyzer that keeps each verdict in a journal, so that an aborted run can continue where it stopped."""

    def __init__(self, networks: Networks, journal: Path) -> None:
        """Read the journal of an earlier run with the same model; an incomplete last line is ignored."""
        self._networks, self._journal, self._record = networks, journal, networks.scorer.record.sha256
        self._known: dict[tuple[str, str], Verdict] = {}
        journal.parent.mkdir(parents=True, exist_ok=True)
        for line in journal.read_bytes().splitlines() if journal.is_file() else ():
            try:
                verdict = msgspec.json.decode(line, type=Verdict)
            except msgspec.DecodeError:
                continue
            if verdict.record == self._record:
                self._known[verdict.location, verdict.transformation] = verdict

    def verdict(self, drawn: Drawn, transformation: str, content: Callable[[], bytes]) -> Verdict:
        """Return the verdict on the file that ``content`` makes; the file is analyzed only if the journal lacks it."""
        known = self._known.get((drawn.location, transformation))
        if known is not None:
            return known
        settings = self._networks.settings
        analysis = analyze(
            evidence_from_bytes(content(), "picture", max_bytes=settings.max_bytes), self._networks, explain=False
        )
        verdict = Verdict(
            record=self._record,
            split=drawn.split,
            label=drawn.label,
            source=drawn.source,
            location=drawn.location,
            transformation=transformation,
            outcome=analysis.outcome,
            score=analysis.score,
        )
        self._known[drawn.location, transformation] = verdict
        cut = self._journal.is_file() and self._is_cut()
        with self._journal.open("ab") as stream:
            stream.write(b"\n" * cut + msgspec.json.encode(verdict) + b"\n")
        return verdict

    def _is_cut(self) -> bool:
        """Whether the last line of the journal is incomplete."""
        with self._journal.open("rb") as stream:
            return bool(stream.seek(0, os.SEEK_END)) and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"


def measure(
    judge: Judge, *, data: Path, snapshots: Path, wanted: int, seed: int, report: Callable[[str], None]
) -> Iterator[Verdict]:
    """Transform pictures, and judge each result.

    Only manipulated pictures that are called manipulated, and authentic ones that are not, are transformed. Splits and
    classes take turns, so that an aborted run has equally many of each.

    Args:
        judge: gives the verdicts.
        data, snapshots: see ``pictures.drawn``.
        wanted: number of pictures to transform, of each split and class.
        seed: determines the choice of pictures.
        report: called with progress messages.

    Yields:
        The verdicts on these pictures and on all their transformations.
    """
    groups = {
        (split, label): _suitable(judge, drawn(data, snapshots, split, label, seed), wanted)
        for split, label in product(SPLITS, (1, 0))
    }
    for number, (split, label) in product(range(1, wanted + 1), groups):
        suitable = next(groups[split, label], None)
        if suitable is None:
            continue
        picture, unchanged = suitable
        yield unchanged
        for transformation in TRANSFORMATIONS:
            yield judge.verdict(picture, transformation.name, partial(transformation.apply, picture.picture))
        report(f"{split}, {'manipulated' if label else 'authentic'}: {number} of {wanted} pictures")


def _suitable(judge: Judge, pictures: Iterator[Drawn], wanted: int) -> Iterator[tuple[Drawn, Verdict]]:
    """Yield the pictures to transform, with the verdicts on the originals."""
    for picture in islice(pictures, wanted * _LOOKED_AT):
        unchanged = judge.verdict(picture, UNCHANGED, partial(encoded, picture.picture))
        if unchanged.score is not None and (unchanged.outcome is Outcome.MANIPULATED) == bool(picture.label):
            yield picture, unchanged
