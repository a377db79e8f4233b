"""The batches of the app, each in a folder of its own: what it is of, its uploads, its table, its thumbnails.

What lies here survives a refresh, a change of page and the server. A batch that was cut short is taken up again.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from faceloupe.batch.api import BatchSpec
from faceloupe.config import Settings, private_folder
from faceloupe.errors import ReportError, UsageError
from faceloupe.media.evidence_file import printable_name
from faceloupe.report.schema import Report
from faceloupe.report.write import publish_file

_RECORD, _TABLE, _UPLOADS, _THUMBNAILS, _REPORTS = "batch.json", "table.csv", "uploads", "thumbnails", "reports"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_LONGEST_NAME = 120  # characters; file systems take 255 bytes
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        id: when it was made, and something random.
        name: for people.
        created_utc: when, ISO 8601.
        paths: files, folders and ZIPs that it is of.
        root: folder whose name is left out of theirs; empty where none is.
        folder: where it lies.
        effort: that is made, see ``Settings``; empty where that was not kept, as in batches of version 0.4.0.
        model: that scores in its place, likewise.
        embedded: whether what a file holds besides its picture has a row of its own.
    """

    id: str
    name: str
    created_utc: str
    paths: tuple[str, ...]
    root: str
    folder: Path
    effort: str = ""
    model: str = ""
    embedded: bool = False

    @property
    def table(self) -> Path:
        """The CSV; not there before the batch has begun."""
        return self.folder / _TABLE

    def thumbnail(self, sha256: str) -> Path:
        """Small JPEG of a file; not there where it could not be decoded."""
        return self.folder / _THUMBNAILS / f"{sha256}.jpg"

    def report(self, sha256: str) -> Report | None:
        """Return the report of a file; None where there is none, as in batches of version 0.4.0, or it is damaged."""
        try:
            return Report.from_json((self.folder / _REPORTS / f"{sha256}.json").read_text(encoding="utf-8"))
        except (OSError, ReportError):
            return None

    def settings(self, others: Settings) -> Settings:
        """Return the settings to run with: model and effort of the time the batch was made, the others as given.

        Raises:
            UsageError: there is no such effort.
        """
        return replace(others, effort=self.effort, model=self.model) if self.effort else others

    def order(self) -> BatchSpec:
        """Return the batch to start or to continue."""
        return BatchSpec(
            self.paths,
            self.table,
            resume=True,
            reports=self.folder / _REPORTS,
            thumbnails=self.folder / _THUMBNAILS,
            relative_to=(self.folder / _UPLOADS, *([Path(self.root)] if self.root else [])),
            embedded=self.embedded,
        )


class BatchStore:
    """The folder of all batches. Any thread and process may use it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder of batches.

        Args:
            folder: made when the first batch is.
        """
        self._folder = folder

    def add(
        self,
        name: str,
        *,
        settings: Settings | None = None,
        paths: Iterable[Path] = (),
        root: Path | None = None,
        uploads: Iterable[tuple[str, BinaryIO]] = (),
        embedded: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Batch:
        """Make a batch; nothing is examined yet.

        Args:
            name: for people.
            settings: that say what scores, which is kept with the batch; where None, it is left to whoever begins it.
            paths: files, folders and ZIPs that are read where they lie.
            root: folder that these are offered from; its name is left out of theirs.
            uploads: names and contents of files, of which copies are kept with the batch.
            embedded: see ``Batch``.
            now: returns the current time.

        Raises:
            UsageError: there is nothing in it, or it cannot be kept; then nothing is.
        """
        made = now()
        batch_id = f"{made:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        folder = self._folder / batch_id
        try:
            private_folder(folder / _UPLOADS)
            private_folder(folder / _THUMBNAILS)
            all_paths = [str(path) for path in paths] + [str(path) for path in self._keep(folder / _UPLOADS, uploads)]
            if not all_paths:
                raise UsageError("A batch needs files: upload some or name a folder.")
            created = made.isoformat(timespec="seconds")
            scoring = {"effort": settings.effort, "model": settings.model} if settings else {}
            batch = Batch(
                batch_id,
                printable_name(name),
                created,
                tuple(all_paths),
                str(root or ""),
                folder,
                **scoring,
                embedded=embedded,
            )
            text = json.dumps({key: value for key, value in asdict(batch).items() if key != "folder"}, indent=1)
            publish_file(lambda path: path.write_text(text, encoding="utf-8"), folder / _RECORD)
        except OSError as problem:
            shutil.rmtree(folder, ignore_errors=True)
            raise UsageError(
                f"The batch cannot be written to {self._folder} ({problem.strerror or problem}); free some space there."
            ) from problem
        except UsageError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return batch

    def all(self) -> list[Batch]:
        """Return the batches, the newest first."""
        try:
            names = sorted((path.name for path in self._folder.iterdir()), reverse=True)
        except OSError:
            return []
        return [batch for batch in map(self.get, names) if batch is not None]

    def get(self, batch_id: str) -> Batch | None:
        """Return the batch of that id; None where there is none, or no whole one."""
        if not _ID.fullmatch(batch_id):
            return None
        folder = self._folder / batch_id
        try:
            values = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            own = (values["name"], values["created_utc"], tuple(values["paths"]), values["root"])
            effort, model = str(values.get("effort", "")), str(values.get("model", ""))
            return Batch(batch_id, *own, folder, effort, model, values.get("embedded") is True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remove(self, batch: Batch) -> None:
        """Delete a batch: its table, its thumbnails and its copies of uploads. Files that were named stay."""
        shutil.rmtree(batch.folder, ignore_errors=True)

    def _keep(self, folder: Path, uploads: Iterable[tuple[str, BinaryIO]]) -> Iterable[Path]:
        """Copy uploads, in their order; of several of one name each lies in a folder of its own."""
        for number, (name, content) in enumerate(uploads, 1):
            shown = printable_name(name).replace("/", "\ufffd").replace("\\", "\ufffd")[-_LONGEST_NAME:]
            safe = shown.encode("utf-8")[-200:].decode("utf-8", "ignore").lstrip(".") or "unnamed"
            path = folder / safe
            if path.exists():
                own = folder / str(number)
                while own.exists():
                    own = own.with_name(f"{own.name}+")
                own.mkdir()
                path = own / safe
            with path.open("xb") as target:
                shutil.copyfileobj(content, target, _CHUNK)
            yield path
