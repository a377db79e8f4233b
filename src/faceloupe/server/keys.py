"""API keys: random secrets of which only the hashes are kept, in one file of the data folder."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from faceloupe.errors import UsageError
from faceloupe.system.record_file import RecordFile

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
        self._file = RecordFile(folder / _FILE, msgspec.json.Decoder(tuple[ApiKey, ...]), title="API keys")
        self._clock = clock

    def all(self) -> tuple[ApiKey, ...]:
        """Return every key that was made, the oldest first.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        return self._file.read()

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
            UsageError: it has no name, no key can have so many days, or there is no such key to replace.
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
        """Have a key work no more, at once and for good.

        Raises:
            UsageError: there is no such key that still works.
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
