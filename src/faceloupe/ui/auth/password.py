"""The password of a shared workstation: a salted hash, a limit on the rate of guesses, and session tokens."""

import base64
import binascii
import hashlib
import hmac
import math
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from faceloupe.errors import UsageError

SHORTEST, LONGEST = 8, 256  # characters
_N, _R, _P = 2**15, 8, 1  # cost of scrypt: 32 MiB and about a tenth of a second per guess (RFC 7914)
_MOST_MEMORY = 128 * 1024 * 1024
_FREE_GUESSES, _DOUBLINGS, _LONGEST_WAIT_S = 3, 10, 60.0
_ADMITTED_S = 12 * 3600.0  # lifetime of a token: a working day
_MOST_ADMITTED = 1000  # tokens
_FORM = "scrypt$n$r$p$salt$hash, as `faceloupe password` prints it"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A salted scrypt hash of a password.

    Attributes:
        cost: n, r and p of scrypt.
        salt: random bytes.
        digest: result of scrypt for the password and the salt, 32 bytes.
    """

    cost: tuple[int, int, int]
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str) -> "PasswordHash":
        """Hash a new password.

        Raises:
            UsageError: the password is too short or too long.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise UsageError(f"The password has {len(password)} characters; it must have {SHORTEST} to {LONGEST}.")
        cost, salt = (_N, _R, _P), os.urandom(16)
        return cls(cost, salt, _scrypt(password, cost, salt))

    @classmethod
    def parse(cls, text: str) -> "PasswordHash":
        """Parse a hash in the format that ``str`` writes.

        Raises:
            UsageError: the text is not a valid hash. The message does not repeat it, as it may be the password itself.
        """
        try:
            kind, n, r, p, salt, digest = text.strip().split("$")
            parsed = cls((int(n), int(r), int(p)), _bytes(salt), _bytes(digest))
            if kind != "scrypt" or len(parsed.salt) < 8 or len(parsed.digest) != 32:
                raise ValueError
            _scrypt("", parsed.cost, parsed.salt)
        except (ValueError, binascii.Error, MemoryError):
            raise UsageError(f"FACELOUPE_PASSWORD_HASH is not a valid hash ({_FORM}).") from None
        return parsed

    def __str__(self) -> str:
        return "$".join(["scrypt", *map(str, self.cost), _text(self.salt), _text(self.digest)])

    def matches(self, password: str) -> bool:
        """Return whether the password matches the hash; the comparison takes constant time."""
        return hmac.compare_digest(_scrypt(password, self.cost, self.salt), self.digest)


class RateLimiter:
    """Password check with a wait after three wrong guesses, which grows with each further one up to a minute.

    The wait applies to the whole server, so opening many sessions does not speed up guessing.
    """

    def __init__(self, expected: PasswordHash, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no attempts on record.

        Args:
            expected: hash of the password.
            clock: returns monotonic time in seconds.
        """
        self._expected, self._clock = expected, clock
        self._lock = threading.Lock()  # one guess at a time: scrypt takes memory on purpose
        self._wrong, self._closed_until = 0, 0.0

    def admits(self, password: str) -> bool:
        """Return whether the password is right.

        Raises:
            UsageError: there were too many wrong guesses; the message states how long to wait.
        """
        with self._lock:
            left = self._closed_until - self._clock()
            if left > 0:
                raise UsageError(f"Too many wrong passwords; try again in {left:.0f} s.")
            if self._expected.matches(password):
                self._wrong = 0
                return True
            self._wrong += 1
            if self._wrong >= _FREE_GUESSES:
                wait = min(2.0 ** min(self._wrong - _FREE_GUESSES, _DOUBLINGS), _LONGEST_WAIT_S)
                self._closed_until = self._clock() + wait
            return False


class SessionTokens:
    """Random tokens of admitted sessions, each valid for 12 hours; only their hashes are stored."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without tokens.

        Args:
            clock: returns monotonic time in seconds.
        """
        self._clock, self._lock = clock, threading.Lock()
        self._until: dict[bytes, float] = {}  # hash of a token -> clock time when it expires

    def admit(self) -> str:
        """Return a new token; drop expired tokens, and the oldest ones if there are too many."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            valid = [(until, known) for known, until in self._until.items() if until > now]
            self._until = {known: until for until, known in sorted(valid)[1 - _MOST_ADMITTED :]}
            self._until[_known_as(token)] = now + _ADMITTED_S
        return token

    def holds(self, token: str) -> bool:
        """Return whether a token was issued here and has neither expired nor been revoked."""
        return self.seconds_left(token) > 0.0

    def seconds_left(self, token: str) -> float:
        """Return the remaining lifetime of a token in seconds; 0 if it is not valid."""
        with self._lock:
            return max(0.0, self._until.get(_known_as(token), -math.inf) - self._clock())

    def revoke(self, token: str) -> None:
        """Revoke a token; an unknown token is ignored."""
        with self._lock:
            self._until.pop(_known_as(token), None)


def _known_as(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _scrypt(password: str, cost: tuple[int, int, int], salt: bytes) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
