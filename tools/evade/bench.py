"""Verdicts on transformed pictures beside those on the pictures themselves, kept in a journal that a run continues."""

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
_LOOKED_AT = 8  # pictures that are analyzed at most for each one that is wanted


class Verdict(Struct, frozen=True, kw_only=True):
    """One line of the journal.

    Attributes:
        record: SHA-256 of the model's record.
        label: 1 = manipulated, 0 = authentic.
        location: of the picture.
        transformation: ``UNCHANGED`` for the picture itself.
        score: None where nothing was scored.
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
    """Analyzes files, and keeps each verdict in a journal, so that a run that was ended goes on where it stopped."""

    def __init__(self, networks: Networks, journal: Path) -> None:
        """Read what an earlier run with the same model wrote; a last line that was cut off is written anew."""
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
        """Return the verdict on the file that ``content`` makes; it is analyzed where that was not done before."""
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
        """Whether the last line of the journal lacks its end."""
        with self._journal.open("rb") as stream:
            return bool(stream.seek(0, os.SEEK_END)) and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"


def measure(
    judge: Judge, *, data: Path, snapshots: Path, wanted: int, seed: int, report: Callable[[str], None]
) -> Iterator[Verdict]:
    """Transform pictures, and judge each result.

    Transformed are manipulated pictures that are called so, and authentic ones that are not; one of each split and
    class in turn, so that a run that is ended early has as many of each.

    Args:
        judge: gives the verdicts.
        data, snapshots: see ``pictures.drawn``.
        wanted: pictures of each split and class that are transformed.
        seed: decides which.
        report: called with a line of progress.

    Yields:
        The verdicts on these pictures and on all of their transformations.
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
    """The pictures that are transformed, with the verdicts on them as they are."""
    for picture in islice(pictures, wanted * _LOOKED_AT):
        unchanged = judge.verdict(picture, UNCHANGED, partial(encoded, picture.picture))
        if unchanged.score is not None and (unchanged.outcome is Outcome.MANIPULATED) == bool(picture.label):
            yield picture, unchanged
