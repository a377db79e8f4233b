"""The password of a shared workstation: a salted hash, compared in constant time, guessed slowly; and who gave it."""

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
_N, _R, _P = 2**15, 8, 1  # cost of scrypt: 32 MiB and about a tenth of a second a guess (RFC 7914)
_MOST_MEMORY = 128 * 1024 * 1024
_FREE_GUESSES, _DOUBLINGS, _LONGEST_WAIT_S = 3, 10, 60.0
_ADMITTED_S = 12 * 3600.0  # that a visitor is not asked again: a working day
_MOST_ADMITTED = 1000  # tokens
_FORM = "scrypt$n$r$p$salt$hash, as `faceloupe password` prints it"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A hash that a password can be held against, and that does not tell it.

    Attributes:
        cost: n, r and p of scrypt.
        salt: random bytes.
        digest: what scrypt makes of password and salt.
    """

    cost: tuple[int, int, int]
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str) -> "PasswordHash":
        """Hash a new password.

        Raises:
            UsageError: it is too short or too long.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise UsageError(f"The password has {len(password)} characters; it must have {SHORTEST} to {LONGEST}.")
        cost, salt = (_N, _R, _P), os.urandom(16)
        return cls(cost, salt, _scrypt(password, cost, salt))

    @classmethod
    def parse(cls, text: str) -> "PasswordHash":
        """Read what ``str`` wrote.

        Raises:
            UsageError: it is something else, such as the password itself; the text is not repeated.
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

    def fits(self, password: str) -> bool:
        """Whether it is the hash of that password; takes equally long either way."""
        return hmac.compare_digest(_scrypt(password, self.cost, self.salt), self.digest)


class RateLimiter:
    """Lets in who knows the password. After three wrong guesses each further one costs everyone a longer wait.

    The wait is the server's, not a visitor's: who opens a hundred sessions guesses no faster.
    """

    def __init__(self, expected: PasswordHash, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no attempts on record.

        Args:
            expected: hash of the password.
            clock: seconds, steady.
        """
        self._expected, self._clock = expected, clock
        self._lock = threading.Lock()  # one guess at a time: scrypt takes memory on purpose
        self._wrong, self._closed_until = 0, 0.0

    def admits(self, password: str) -> bool:
        """Whether that is the password.

        Raises:
            UsageError: too many wrong guesses; it says for how long no further one is heard.
        """
        with self._lock:
            left = self._closed_until - self._clock()
            if left > 0:
                raise UsageError(f"Too many wrong passwords; try again in {left:.0f} s.")
            if self._expected.fits(password):
                self._wrong = 0
                return True
            self._wrong += 1
            if self._wrong >= _FREE_GUESSES:
                wait = min(2.0 ** min(self._wrong - _FREE_GUESSES, _DOUBLINGS), _LONGEST_WAIT_S)
                self._closed_until = self._clock() + wait
            return False


class SessionTokens:
    """Who has given the password: random tokens, each good for some hours, known here by their hashes alone."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without a token.

        Args:
            clock: seconds, steady.
        """
        self._clock, self._lock = clock, threading.Lock()
        self._until: dict[bytes, float] = {}  # hash of a token -> reading of the clock when it ends

    def admit(self) -> str:
        """Return a new token; the oldest are forgotten where there are too many."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            valid = [(until, known) for known, until in self._until.items() if until > now]
            self._until = {known: until for until, known in sorted(valid)[1 - _MOST_ADMITTED :]}
            self._until[_known_as(token)] = now + _ADMITTED_S
        return token

    def holds(self, token: str) -> bool:
        """Whether a token was given out here, and is neither over nor revoked."""
        return self.seconds_left(token) > 0.0

    def seconds_left(self, token: str) -> float:
        """Return for how long a token still holds; 0 where it does not."""
        with self._lock:
            return max(0.0, self._until.get(_known_as(token), -math.inf) - self._clock())

    def revoke(self, token: str) -> None:
        """Let a token open nothing any more."""
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
