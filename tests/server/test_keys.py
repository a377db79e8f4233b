"""API keys, and how many requests they allow."""

import argparse
import stat
from datetime import UTC, datetime, timedelta

import pytest

from faceloupe.cli.api import add_api
from faceloupe.errors import UsageError
from faceloupe.server.access import RateLimit
from faceloupe.server.keys import OVERLAP, ApiKeys, Scope
from tests.clock import Clock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock(START)


@pytest.fixture
def keys(tmp_path, clock):
    return ApiKeys(tmp_path / "data", clock=clock)


def test_the_secret_is_not_stored_and_only_the_owner_can_read_the_file(keys, tmp_path):
    key, secret = keys.create("newsroom", [Scope.READ])
    path = tmp_path / "data" / "api-keys.json"
    assert len(secret) > 50
    assert secret not in path.read_text()
    assert secret.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.find(secret) == key


def test_changes_of_another_process_take_effect_at_once(keys, tmp_path, clock):
    other = ApiKeys(tmp_path / "data", clock=clock)
    assert other.all() == ()
    key, secret = keys.create("newsroom")
    assert other.find(secret).scopes == (Scope.READ, Scope.ANALYZE)
    keys.revoke(key.id)
    assert other.find(secret) is None
    assert [stored.state(clock.now) for stored in other.all()] == ["revoked"]


def test_a_replaced_key_works_for_a_day_and_the_new_one_allows_the_same(keys, clock):
    old, old_secret = keys.create("newsroom", [Scope.READ])
    new, new_secret = keys.create("newsroom", replaces=old.id)
    assert new.scopes == old.scopes
    clock.now += OVERLAP - timedelta(seconds=1)
    assert keys.find(old_secret).id == old.id
    clock.now += timedelta(seconds=2)
    assert keys.find(old_secret) is None
    assert keys.find(new_secret) == new


def test_a_key_ends_after_its_days(keys, clock):
    _, secret = keys.create("trial", days=2)
    clock.now += timedelta(days=1, hours=23)
    assert keys.find(secret) is not None
    clock.now += timedelta(hours=2)
    assert keys.find(secret) is None
    assert keys.valid() == ()


@pytest.mark.parametrize("guess", ["", "faceloupe_00000000_x", "\ud800", "x" * 100_000])
def test_a_guessed_token_is_refused(keys, guess):
    keys.create("newsroom")
    assert keys.find(guess) is None


def test_invalid_requests_for_a_key_are_refused_in_one_sentence(keys, tmp_path):
    with pytest.raises(UsageError, match="Name the key"):
        keys.create(" ")
    with pytest.raises(UsageError, match="no valid key none"):
        keys.revoke("none")
    with pytest.raises(UsageError, match="not 0"):
        keys.create("trial", days=0)
    keys.create("newsroom")
    (tmp_path / "data" / "api-keys.json").write_text("[{]")
    with pytest.raises(UsageError, match="cannot be read"):
        keys.find("anything")


def test_a_client_may_send_a_minutes_worth_at_once_and_then_at_a_steady_rate():
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])
    assert [limit.wait_s("a") for _ in range(60)] == [0.0] * 60
    assert limit.wait_s("a") == pytest.approx(1.0)
    assert limit.wait_s("b") == 0.0
    now[0] = 1.0
    assert limit.wait_s("a") == 0.0
    assert limit.wait_s("a") == pytest.approx(1.0)


def test_many_clients_take_bounded_memory():
    limit = RateLimit(60, clock=lambda: 0.0)
    for number in range(10_100):
        limit.wait_s(str(number))
    assert len(limit._clients) == 10_000


def test_a_rate_of_0_is_an_option_and_limits_nobody():
    parser = argparse.ArgumentParser()
    add_api(parser)
    limit = RateLimit(parser.parse_args(["--rate", "0"]).rate, clock=lambda: 0.0)
    assert {limit.wait_s("a") for _ in range(1000)} == {0.0}
    with pytest.raises(SystemExit):
        parser.parse_args(["--images", "0"])
