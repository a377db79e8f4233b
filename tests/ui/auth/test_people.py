"""Examiners with passwords of their own."""

import io
import stat
import threading
import time

import pytest

from faceloupe.cli import main
from faceloupe.errors import UsageError
from faceloupe.ui.auth.people import People, SignIns

ANN, BOB = "correct horse", "battery staple"  # pragma: allowlist secret


@pytest.fixture
def people(tmp_path):
    people = People(tmp_path, clock=lambda: 0.0)
    people.set_password("Ann Example", ANN)
    return people


def test_a_person_is_known_by_the_password_alone_however_the_name_is_typed(people):
    assert people.check("  ann   EXAMPLE", ANN) == "Ann Example"
    with pytest.raises(UsageError, match="not the password of Ann Example"):
        people.check("Ann Example", BOB)
    with pytest.raises(UsageError, match="Choose a name"):
        people.check("Bob", ANN)


def test_a_new_password_replaces_the_old_one_and_a_person_can_be_removed(people):
    people.set_password("Ann Example", BOB)
    assert people.check("Ann Example", BOB) == "Ann Example"
    with pytest.raises(UsageError):
        people.check("Ann Example", ANN)
    people.remove("ann example")
    assert people.all() == ()
    with pytest.raises(UsageError, match="no person"):
        people.remove("Ann Example")


def test_wrong_guesses_at_one_person_make_nobody_else_wait(people):
    people.set_password("Bob Second", BOB)
    for _ in range(3):
        with pytest.raises(UsageError, match="not the password"):
            people.check("Ann Example", "wrong guess")
    with pytest.raises(UsageError, match="Too many"):
        people.check("Ann Example", ANN)
    assert people.check("Bob Second", BOB) == "Bob Second"


def test_the_file_shows_no_password_is_for_its_owner_alone_and_damage_lets_nobody_in(people, tmp_path):
    path = tmp_path / "people.json"
    assert ANN not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("[")
    with pytest.raises(UsageError, match="cannot be read"):
        people.all()


def test_a_damaged_password_is_reported_as_such(people, tmp_path):
    path = tmp_path / "people.json"
    path.write_text(path.read_text().replace("scrypt$", "md5$"))
    with pytest.raises(UsageError, match=r"password of Ann Example in people\.json is damaged"):
        people.check("Ann Example", ANN)


def test_a_token_names_its_person_until_it_is_given_back():
    sign_ins = SignIns()
    token = sign_ins.sign_in("Ann")
    assert sign_ins.name_of(token) == "Ann"
    assert sign_ins.name_of("") == sign_ins.name_of(token[:-1]) == ""
    sign_ins.sign_out(token)
    assert sign_ins.name_of(token) == ""


def test_the_command_line_adds_lists_and_removes_people(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANN}\n"))
    assert main.main(["people", "add", "Ann Example"]) == 0
    assert People(tmp_path).check("Ann Example", ANN) == "Ann Example"
    assert main.main(["people", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Ann Example"
    assert main.main(["people", "remove", "Ann Example"]) == 0
    assert main.main(["people", "remove", "Ann Example"]) == 2


def test_people_who_sign_in_at_once_are_all_signed_in(monkeypatch):
    signed_in = SignIns()
    ann, others, holds = signed_in.sign_in("Ann Example"), [], signed_in._tokens.holds

    def holds_while_another_signs_in(token):
        monkeypatch.setattr(signed_in._tokens, "holds", holds)
        other = threading.Thread(target=lambda: others.append(signed_in.sign_in("Bob Second")))
        other.start()
        other.join(0.2)  # it may have to wait
        return holds(token)

    monkeypatch.setattr(signed_in._tokens, "holds", holds_while_another_signs_in)
    cleo = signed_in.sign_in("Cleo Third")
    while not others:
        time.sleep(0.01)
    assert [signed_in.name_of(token) for token in (ann, *others, cleo)] == ["Ann Example", "Bob Second", "Cleo Third"]
