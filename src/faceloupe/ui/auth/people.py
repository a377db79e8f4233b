"""Examiners with a password of their own, where more than one uses the server; kept in one file of the data folder."""

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
    """What is kept of a person.

    Attributes:
        name: as it stands in logs and reports.
        password_hash: see ``PasswordHash``.
    """

    name: str
    password_hash: str


class People:
    """The people of a data folder. Any process may change them; a running server sees it at once."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the data folder; it need not exist.

        Args:
            folder: the data folder.
            clock: seconds, steady.
        """
        self._file = RecordFile(folder / _FILE, msgspec.json.Decoder(tuple[Person, ...]), title="people")
        self._clock = clock
        self._lock = threading.Lock()
        self._limiters: dict[str, RateLimiter] = {}  # hash of a password -> its limiter

    def all(self) -> tuple[Person, ...]:
        """Return everyone, by name; nobody where no passwords were given out.

        Raises:
            UsageError: the file cannot be read or is damaged.
        """
        return tuple(sorted(self._file.read(), key=lambda person: person_key(person.name)))

    def set_password(self, name: str, password: str) -> Person:
        """Give a person a password, in place of the earlier one if there was any.

        Raises:
            UsageError: no name is given, the password is too short or too long, or the file cannot be written.
        """
        person = Person(name=name_of(name, "person"), password_hash=str(PasswordHash.of(password)))
        with self._file.change() as people:
            people[:] = [*_others(people, person.name), person]
        return person

    def remove(self, name: str) -> None:
        """Take a person's password away; what the person wrote stays.

        Raises:
            UsageError: there is no such person, or the file cannot be written.
        """
        with self._file.change() as people:
            others = _others(people, name)
            if len(others) == len(people):
                raise UsageError(f"There is no person {name}; `faceloupe people list` lists them.")
            people[:] = others

    def check(self, name: str, password: str) -> str:
        """Return the person's name as it is kept, where the password is that person's.

        Raises:
            UsageError: there is no such person, it is not the password, or there were too many wrong ones.
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
    """Who signed in to this server: a token for each browser, good for some hours. Any thread may call it."""

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
        """Return whose token that is; empty where it is nobody's, or over."""
        with self._lock:
            return self._names.get(token, "") if self._tokens.holds(token) else ""

    def seconds_left(self, token: str) -> float:
        """Return for how long a token still names its person; 0 where it does not."""
        return self._tokens.seconds_left(token)

    def sign_out(self, token: str) -> None:
        """Let a token stand for nobody any more."""
        self._tokens.revoke(token)
        with self._lock:
            self._names.pop(token, None)
