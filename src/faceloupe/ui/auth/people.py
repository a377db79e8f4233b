"""Examiners with individual passwords on a shared server; they are stored in one file of the data folder."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from faceloupe.cases.records import name_of, person_key
from faceloupe.errors import UsageError
from faceloupe.system.record_file import RecordFile
from faceloupe.ui.auth.password import PasswordHash, RateLimiter, SessionTokens

_FILE = "people.json"


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An examiner with a password.

    Attributes:
        name: as it appears in logs and reports.
        password_hash: see ``PasswordHash``.
    """

    name: str
    password_hash: str


class People:
    """The examiners with a password in a data folder. A running server sees changes by other processes at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Set the data folder.

        Args:
            folder: the data folder; it need not exist.
            clock: returns monotonic time in seconds.
        """
        self._file = RecordFile(folder / _FILE, msgspec.json.Decoder(tuple[Person, ...]), title="people")
        self._clock = clock
        self._lock = threading.Lock()
        self._limiters: dict[str, RateLimiter] = {}  # hash of a password -> its limiter

    def all(self) -> tuple[Person, ...]:
        """Return all people sorted by name; the tuple is empty if nobody has a password.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        return tuple(sorted(self._file.read(), key=lambda person: person_key(person.name)))

    def set_password(self, name: str, password: str) -> Person:
        """Set the password of a person; an earlier password is replaced.

        Raises:
            UsageError: no name is given, the password is too short or too long, or the file cannot be written.
        """
        person = Person(name=name_of(name, "person"), password_hash=str(PasswordHash.of(password)))
        with self._file.change() as people:
            people[:] = [*_others(people, person.name), person]
        return person

    def remove(self, name: str) -> None:
        """Remove a person's password; what the person entered in cases is kept.

        Raises:
            UsageError: there is no such person, or the file cannot be written.
        """
        with self._file.change() as people:
            others = _others(people, name)
            if len(others) == len(people):
                raise UsageError(f"There is no person {name}; `faceloupe people list` lists them.")
            people[:] = others

    def check(self, name: str, password: str) -> str:
        """Check a person's password, and return the person's name as it is stored.

        Raises:
            UsageError: there is no such person, the password is wrong, the stored hash is damaged, or there were too
                many wrong guesses.
        """
        person = next((person for person in self.all() if person_key(person.name) == person_key(name)), None)
        if person is None:
            raise UsageError("Choose a name, and enter the password of that person.")
        with self._lock:
            if person.password_hash not in self._limiters:
                try:
                    expected = PasswordHash.parse(person.password_hash)
                except UsageError:
                    raise UsageError(
                        f"The password of {person.name} in {_FILE} is damaged; `faceloupe people add` sets a new one."
                    ) from None
                self._limiters[person.password_hash] = RateLimiter(expected, clock=self._clock)
            limiter = self._limiters[person.password_hash]
        if not limiter.admits(password):
            raise UsageError(f"That is not the password of {person.name}.")
        return person.name


def _others(people: Sequence[Person], name: str) -> list[Person]:
    return [person for person in people if person_key(person.name) != person_key(name)]


class SignIns:
    """People who signed in to this server: one token per browser, valid for 12 hours. Safe to use from any thread."""

    def __init__(self) -> None:
        self._tokens, self._names = SessionTokens(), dict[str, str]()
        self._lock = threading.Lock()

    def sign_in(self, name: str) -> str:
        """Return a new token for a person whose password was checked."""
        token = self._tokens.admit()
        with self._lock:
            self._names = {known: person for known, person in self._names.items() if self._tokens.holds(known)}
            self._names[token] = name
        return token

    def name_of(self, token: str) -> str:
        """Return the name of the person whom a token belongs to; empty if the token is not valid."""
        with self._lock:
            return self._names.get(token, "") if self._tokens.holds(token) else ""

    def seconds_left(self, token: str) -> float:
        """Return the remaining lifetime of a token in seconds; 0 if it is not valid."""
        return self._tokens.seconds_left(token)

    def sign_out(self, token: str) -> None:
        """Revoke a token."""
        self._tokens.revoke(token)
        with self._lock:
            self._names.pop(token, None)
