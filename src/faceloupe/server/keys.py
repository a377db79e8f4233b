"""API keys: random secrets, of which only hashes are stored, in one file of the data folder."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from faceloupe.errors import UsageError
from faceloupe.system.record_file import RecordFile

OVERLAP = timedelta(hours=24)  # time that a replaced key still works
_FILE = "api-keys.json"
_PREFIX = "faceloupe"


class Scope(StrEnum):
    """A permission of a key."""

    READ = "read"
    ANALYZE = "analyze"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stored record of a key.

    Attributes:
        id: identifies the key in lists and logs.
        name: owner or purpose of the key.
        secret_sha256: SHA-256 of the whole secret. One round suffices, because a secret has 256 random bits.
        ends: time when the key expires; None if it does not expire.
        revoked: time when the key was revoked; None if it was not revoked.
    """

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    created: datetime
    ends: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> str:
        """Return ``valid``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.ends is not None and self.ends <= now else "valid"


def _now() -> datetime:
    return datetime.now(UTC)


class ApiKeys:
    """The keys of a data folder. All threads and processes may change them; a running server sees changes at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = _now) -> None:
        """Set the folder, which need not exist.

        Args:
            folder: the data folder.
            clock: returns the current time, with its time zone.
        """
        self._file = RecordFile(folder / _FILE, msgspec.json.Decoder(tuple[ApiKey, ...]), title="API keys")
        self._clock = clock

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys that were ever created, oldest first.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        return self._file.read()

    def valid(self) -> tuple[ApiKey, ...]:
        """Return the keys that are valid now."""
        return tuple(key for key in self.all() if key.state(self._clock()) == "valid")

    def find(self, secret: str) -> ApiKey | None:
        """Return the valid key that has this secret; None if there is none."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        return next((key for key in self.valid() if secrets.compare_digest(key.secret_sha256, digest)), None)

    def create(
        self, name: str, scopes: Iterable[Scope] = (), *, days: float | None = None, replaces: str | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key.

        Args:
            name: owner or purpose of the key.
            scopes: permissions of the key; if empty, those of the replaced key, or all permissions.
            days: lifetime of the key, days; None for a key that does not expire.
            replaces: id of a key that expires ``OVERLAP`` from now, or earlier if its own end is earlier.

        Returns:
            The key and its secret, which is not stored anywhere.

        Raises:
            UsageError: the name is empty, ``days`` is out of range, or there is no valid key to replace.
        """
        if not name.strip():
            raise UsageError("Name the key: whose it is, or what it is for.")
        if days is not None and not 0 < days <= 36_500:
            raise UsageError(f"A key works for more than 0 and at most 36,500 days, not {days:g}.")
        with self._file.change() as keys:
            now = self._clock()
            old = None if replaces is None else self._valid(replaces, keys)
            chosen = tuple(dict.fromkeys(scopes)) or (tuple(Scope) if old is None else old.scopes)
            key_id, ends = secrets.token_hex(4), None if days is None else now + timedelta(days=days)
            secret = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
            digest = hashlib.sha256(secret.encode()).hexdigest()
            key = ApiKey(id=key_id, name=name, secret_sha256=digest, scopes=chosen, created=now, ends=ends)
            if old is not None:
                last = now + OVERLAP if old.ends is None else min(old.ends, now + OVERLAP)
                keys[keys.index(old)] = msgspec.structs.replace(old, ends=last)
            keys.append(key)
        return key, secret

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key permanently, with immediate effect.

        Raises:
            UsageError: there is no valid key with this id.
        """
        with self._file.change() as keys:
            old = self._valid(key_id, keys)
            revoked = msgspec.structs.replace(old, revoked=self._clock())
            keys[keys.index(old)] = revoked
        return revoked

    def _valid(self, key_id: str, keys: list[ApiKey]) -> ApiKey:
        for key in keys:
            if key.id == key_id and key.state(self._clock()) == "valid":
                return key
        raise UsageError(f"There is no valid key {key_id}; `faceloupe api key list` lists them.")
