"""The password of a shared workstation."""

import io

import pytest

from faceloupe.cli import main
from faceloupe.errors import UsageError
from faceloupe.ui.auth.password import PasswordHash, RateLimiter, SessionTokens

PASSWORD = "correct horse"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def hashed():
    return PasswordHash.of(PASSWORD)


def test_a_hash_matches_only_its_password_also_after_storage(hashed):
    again = PasswordHash.parse(str(hashed))
    assert again == hashed
    assert again.matches(PASSWORD)
    assert not again.matches(PASSWORD + " ")
    assert not again.matches("")


def test_two_hashes_of_one_password_differ_and_neither_shows_it(hashed):
    other = PasswordHash.of(PASSWORD)
    assert str(other) != str(hashed)
    assert PASSWORD not in str(other)
    assert str(other).rpartition("$")[2] not in repr(other)


@pytest.mark.parametrize("length", [0, 7, 257])
def test_a_short_or_a_long_password_is_refused(length):
    with pytest.raises(UsageError, match=f"has {length} characters; it must have 8 to 256"):
        PasswordHash.of(length * "a")


@pytest.mark.parametrize(
    "text",
    [PASSWORD, "scrypt$1$8$1$AAAA$AAAA", "scrypt$32768$8$1$c2FsdHNhbHQ=$!", "bcrypt$1$1$1$AA==$AA==", "$$$$$", ""],
)
def test_what_is_no_hash_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match="is not a valid hash") as refused:
        PasswordHash.parse(text)
    assert not text or text not in str(refused.value)


def test_wrong_guesses_make_everyone_wait_longer_each_time_and_the_right_one_ends_that(hashed):
    now = [0.0]
    gate = RateLimiter(hashed, clock=lambda: now[0])
    for _ in range(3):
        assert not gate.admits("wrong")
    waits = []
    for _ in range(3):
        with pytest.raises(UsageError, match="Too many wrong passwords"):
            gate.admits(PASSWORD)  # not even heard
        before = now[0]
        while True:
            now[0] += 0.5
            try:
                assert not gate.admits("wrong")
                break
            except UsageError:
                continue
        waits.append(now[0] - before)
    assert waits == [1.0, 2.0, 4.0]
    now[0] += 60.0
    assert gate.admits(PASSWORD)
    assert not gate.admits("wrong")
    assert gate.admits(PASSWORD)


def test_who_guesses_on_for_days_still_waits(hashed):
    now = [0.0]
    gate = RateLimiter(hashed, clock=lambda: now[0])
    gate._wrong = 5000  # each would take a minute
    assert not gate.admits("wrong")
    now[0] = 59.0
    with pytest.raises(UsageError, match="try again in 1 s"):
        gate.admits(PASSWORD)


def test_the_command_prints_a_hash_of_the_line_it_reads(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert main.main(["password"]) == 0
    out, err = capsys.readouterr()
    assert PasswordHash.parse(out).matches(PASSWORD)
    assert err == ""


def test_a_token_holds_for_a_working_day_and_until_it_is_revoked():
    now = [0.0]
    admissions = SessionTokens(clock=lambda: now[0])
    first, second = admissions.admit(), admissions.admit()
    assert first != second
    assert (admissions.holds(first), admissions.holds(second), admissions.holds("guessed")) == (True, True, False)
    admissions.revoke(second)
    admissions.revoke("guessed")
    assert (admissions.holds(first), admissions.holds(second)) == (True, False)
    now[0] = 12 * 3600.0 - 1.0
    later = admissions.admit()
    assert admissions.holds(first)
    now[0] += 1.0
    assert (admissions.holds(first), admissions.holds(later)) == (False, True)


def test_the_number_of_tokens_is_bounded_and_the_oldest_go_first():
    now = [0.0]
    admissions = SessionTokens(clock=lambda: now[0])
    tokens = []
    for _ in range(1001):
        now[0] += 1.0
        tokens.append(admissions.admit())
    assert [admissions.holds(token) for token in tokens] == [False] + 1000 * [True]
