"""The batches of the app, each in its own folder: its description, uploads, table, reports and thumbnails.

The folders outlive a refresh, a change of page and the server. An interrupted batch is resumed.
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
_LONGEST_NAME = 120  # characters; file systems allow 255 bytes
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of the app.

    Attributes:
        id: time of creation and a random suffix.
        name: name for display.
        created_utc: time of creation, ISO 8601.
        paths: files, folders and ZIPs to analyze.
        root: folder that paths are shown relative to; empty if there is none.
        folder: folder of the batch.
        effort: effort of the analyses, see ``Settings``; empty if it was not stored, as in batches of version 0.4.0.
        model: id of a model that scores instead, see ``Settings``; empty if the effort decides, or it was not stored.
        embedded: whether the content embedded in a file gets rows of its own.
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
        """Path of the CSV; the file does not exist before the batch has begun."""
        return self.folder / _TABLE

    def thumbnail(self, sha256: str) -> Path:
        """Return the path of the thumbnail of a file; it does not exist if the file could not be decoded."""
        return self.folder / _THUMBNAILS / f"{sha256}.jpg"

    def report(self, sha256: str) -> Report | None:
        """Return the report of a file; None if it is damaged or missing, as in batches of version 0.4.0."""
        try:
            return Report.from_json((self.folder / _REPORTS / f"{sha256}.json").read_text(encoding="utf-8"))
        except (OSError, ReportError):
            return None

    def settings(self, others: Settings) -> Settings:
        """Return the settings for the run: the effort and model stored with the batch, and otherwise ``others``.

        Raises:
            UsageError: the stored effort does not exist.
        """
        return replace(others, effort=self.effort, model=self.model) if self.effort else others

    def spec(self) -> BatchSpec:
        """Return the specification to start or resume the batch."""
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
    """The folder of all batches. Several threads and processes may use it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder of batches.

        Args:
            folder: the folder; it is created with the first batch.
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
        """Create a batch, without running it.

        Args:
            name: name for display.
            settings: settings whose effort and model are stored with the batch; None stores none, so those of the run
                apply.
            paths: files, folders and ZIPs, which are read in place.
            root: folder that contains ``paths``; they are shown relative to it.
            uploads: names and contents of files, which are copied into the folder of the batch.
            embedded: see ``Batch``.
            now: returns the current time.

        Raises:
            UsageError: the batch has no files, or cannot be stored; nothing remains of it then.
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
        """Return all batches, newest first."""
        try:
            names = sorted((path.name for path in self._folder.iterdir()), reverse=True)
        except OSError:
            return []
        return [batch for batch in map(self.get, names) if batch is not None]

    def get(self, batch_id: str) -> Batch | None:
        """Return the batch with this id; None if it does not exist or is incomplete."""
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
        """Delete the folder of a batch with its table, reports, thumbnails and uploads; files given by path remain."""
        shutil.rmtree(batch.folder, ignore_errors=True)

    def _keep(self, folder: Path, uploads: Iterable[tuple[str, BinaryIO]]) -> Iterable[Path]:
        """Copy the uploads and yield the paths of the copies, in order; a repeated name gets its own subfolder."""
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
