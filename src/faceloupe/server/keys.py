"""API keys: random secrets of which only the hashes are kept, in one file of the data folder."""

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec
from filelock import FileLock

from faceloupe.config import private_folder
from faceloupe.errors import UsageError
from faceloupe.system.files import replacing

OVERLAP = timedelta(hours=24)  # that a key still works after another one took its place
_FILE = "api-keys.json"
_PREFIX = "faceloupe"


class Scope(StrEnum):
    """What a key allows."""

    READ = "read"
    ANALYZE = "analyze"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key.

    Attributes:
        id: names the key in lists and logs.
        name: whose key it is, or what for.
        secret_sha256: hash of the whole secret. A secret has 256 random bits, so that one round suffices.
        ends: when it stops working; None where it does not.
        revoked: when it was revoked; None where it was not.
    """

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    created: datetime
    ends: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> str:
        """One word: valid, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.ends is not None and self.ends <= now else "valid"


def _now() -> datetime:
    return datetime.now(UTC)


class ApiKeys:
    """The keys of a data folder. Any thread and any process may change them; a running server sees it at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = _now) -> None:
        """Name the folder; it need not exist.

        Args:
            folder: the data folder.
            clock: the present time, with its time zone.
        """
        self._path, self._clock, self._lock = folder / _FILE, clock, threading.Lock()
        self._read: tuple[tuple[int, int, int] | None, tuple[ApiKey, ...]] = (None, ())

    def all(self) -> tuple[ApiKey, ...]:
        """Return every key that was made, the oldest first.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        with self._lock:
            try:
                status = self._path.stat()
                state = status.st_ino, status.st_size, status.st_mtime_ns
                if state != self._read[0]:
                    self._read = state, msgspec.json.decode(self._path.read_bytes(), type=tuple[ApiKey, ...])
            except FileNotFoundError:
                self._read = None, ()
            except (OSError, msgspec.MsgspecError) as problem:
                raise UsageError(
                    f"The API keys in {self._path} cannot be read ({problem}); restore the file."
                ) from None
            return self._read[1]

    def valid(self) -> tuple[ApiKey, ...]:
        """Return the keys that work now."""
        return tuple(key for key in self.all() if key.state(self._clock()) == "valid")

    def find(self, secret: str) -> ApiKey | None:
        """Return the valid key of a secret; None where it is none."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        return next((key for key in self.valid() if secrets.compare_digest(key.secret_sha256, digest)), None)

    def create(
        self, name: str, scopes: Iterable[Scope] = (), *, days: float | None = None, replaces: str | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key.

        Args:
            name: whose key it is, or what for.
            scopes: what it allows; what the replaced key allows, or everything, where there are none.
            days: that it works; for good where None.
            replaces: id of a key that stops working ``OVERLAP`` from now.

        Returns:
            The key, and its secret, which is kept nowhere.

        Raises:
            UsageError: it is not named, its days are none, or there is no such key.
        """
        if not name.strip():
            raise UsageError("Name the key: whose it is, or what it is for.")
        if days is not None and not 0 < days <= 36_500:
            raise UsageError(f"A key works for more than 0 and at most 36,500 days, not {days:g}.")
        with self._changing():
            now, keys = self._clock(), list(self.all())
            old = None if replaces is None else self._valid(replaces, keys)
            chosen = tuple(dict.fromkeys(scopes)) or (tuple(Scope) if old is None else old.scopes)
            key_id, ends = secrets.token_hex(4), None if days is None else now + timedelta(days=days)
            secret = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
            digest = hashlib.sha256(secret.encode()).hexdigest()
            key = ApiKey(id=key_id, name=name, secret_sha256=digest, scopes=chosen, created=now, ends=ends)
            if old is not None:
                last = now + OVERLAP if old.ends is None else min(old.ends, now + OVERLAP)
                keys[keys.index(old)] = msgspec.structs.replace(old, ends=last)
            self._write([*keys, key])
        return key, secret

    def revoke(self, key_id: str) -> ApiKey:
        """Have a key work no more, at once and for good.

        Raises:
            UsageError: there is no such key that still works.
        """
        with self._changing():
            keys = list(self.all())
            old = self._valid(key_id, keys)
            revoked = msgspec.structs.replace(old, revoked=self._clock())
            keys[keys.index(old)] = revoked
            self._write(keys)
        return revoked

    def _valid(self, key_id: str, keys: list[ApiKey]) -> ApiKey:
        for key in keys:
            if key.id == key_id and key.state(self._clock()) == "valid":
                return key
        raise UsageError(f"There is no valid key {key_id}; `faceloupe api key list` lists them.")

    def _changing(self) -> FileLock:
        try:
            private_folder(self._path.parent)
        except OSError as problem:
            raise UsageError(f"The folder {self._path.parent} cannot be made ({problem.strerror}).") from problem
        return FileLock(f"{self._path}.lock")

    def _write(self, keys: Iterable[ApiKey]) -> None:
        content = msgspec.json.format(msgspec.json.encode(tuple(keys)))
        try:
            with replacing(self._path) as temporary:
                os.chmod(temporary, 0o600)
                temporary.write_bytes(content)
        except OSError as problem:
            raise UsageError(f"{self._path} cannot be written ({problem.strerror}); check the folder.") from problem
