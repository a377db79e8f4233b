"""The password of a shared workstation."""

import io

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe import cli
from faceloupe.config import REPOSITORY
from faceloupe.errors import UsageError
from faceloupe.password import Gate, PasswordHash
from faceloupe.ui import resources, serve

PASSWORD = "correct horse"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def hashed():
    return PasswordHash.of(PASSWORD)


def test_a_hash_fits_its_password_alone_and_survives_being_written_down(hashed):
    again = PasswordHash.parse(str(hashed))
    assert again == hashed
    assert again.fits(PASSWORD)
    assert not again.fits(PASSWORD + " ")
    assert not again.fits("")


def test_two_hashes_of_one_password_differ_and_neither_shows_it(hashed):
    other = PasswordHash.of(PASSWORD)
    assert str(other) != str(hashed)
    assert PASSWORD not in str(other)
    assert str(other).rpartition("$")[2] not in repr(other)


def test_a_short_password_is_refused():
    with pytest.raises(UsageError, match="has 3 characters; it must have 8"):
        PasswordHash.of("abc")


@pytest.mark.parametrize(
    "text",
    [PASSWORD, "scrypt$1$8$1$AAAA$AAAA", "scrypt$32768$8$1$c2FsdHNhbHQ=$!", "bcrypt$1$1$1$AA==$AA==", "$$$$$", ""],
)
def test_what_is_no_hash_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match="does not hold a hash") as refused:
        PasswordHash.parse(text)
    assert not text or text not in str(refused.value)


def test_wrong_guesses_make_everyone_wait_longer_each_time_and_the_right_one_ends_that(hashed):
    now = [0.0]
    gate = Gate(hashed, clock=lambda: now[0])
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


def test_the_command_prints_a_hash_of_the_line_it_reads(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert cli.main(["password"]) == 0
    out, err = capsys.readouterr()
    assert PasswordHash.parse(out).fits(PASSWORD)
    assert err == ""


@pytest.fixture
def at(monkeypatch, hashed):
    monkeypatch.setenv("FACELOUPE_PASSWORD_HASH", str(hashed))
    resources.gate.clear()
    yield AppTest.from_file(str(REPOSITORY / "src" / "app.py"), default_timeout=60).run()
    resources.gate.clear()


def give(at, password):
    at.text_input(key="password").input(password)
    return at.button(key="open_gate").click().run()


def test_without_the_password_no_page_is_drawn(at):
    assert not at.exception
    assert len(at.file_uploader) == 0
    assert not any("Model" in caption.value for caption in at.caption)
    give(at, "wrong")
    assert len(at.file_uploader) == 0
    assert at.error[0].value == "That is not the password."


def test_with_the_password_the_session_goes_on_as_ever(at):
    give(at, PASSWORD)
    assert not at.exception
    assert len(at.file_uploader) == 1
    assert len(at.run().file_uploader) == 1
    assert len(at.text_input) == 0


def test_a_gate_that_cannot_work_lets_nobody_in(monkeypatch):
    monkeypatch.setenv("FACELOUPE_PASSWORD_HASH", PASSWORD)
    resources.gate.clear()
    at = AppTest.from_file(str(REPOSITORY / "src" / "app.py"), default_timeout=60).run()
    assert len(at.file_uploader) == 0
    assert "does not hold a hash" in at.error[0].value
    resources.gate.clear()


@pytest.mark.parametrize(
    ("options", "password", "warned"),
    [
        (["--server.address", "0.0.0.0"], "", True),
        (["--server.address", "0.0.0.0"], "hash", False),
        (["--server.address", "127.0.0.1"], "", False),
        ([], "", False),
    ],
)
def test_a_server_that_others_reach_without_a_password_says_so(monkeypatch, options, password, warned):
    monkeypatch.setenv("FACELOUPE_PASSWORD_HASH", password)
    assert ("without a password" in serve._exposed(options)) == warned
