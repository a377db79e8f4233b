"""A short run of the fuzzing (``make fuzz`` runs more), and checks that it detects faults."""

import os
from pathlib import Path

import pytest
from tools import fuzz

from tests.hostile import handmade

SEED = 7


@pytest.fixture
def fuzzer(tmp_path):
    made = fuzz.Fuzzer(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(("seeds", "count"), [(fuzz.still_seeds, 150), (fuzz.clip_seeds, 50)], ids=["stills", "clips"])
def test_mutated_files_are_decoded_or_refused_in_one_sentence(fuzzer, seeds, count):
    whole = seeds()
    for number in range(count):
        name, content = fuzz.mutated(whole, SEED, number)
        fuzzer.run(f"{number} ({name})", content)
    fuzzer.check_leftovers()
    assert fuzzer.tally.unexpected == []
    assert 0 < fuzzer.tally.outcomes["decoded"] < count


def test_files_made_to_do_harm_are_decoded_or_refused_in_one_sentence(fuzzer):
    for name, content in handmade().items():
        fuzzer.run(name, content)
    fuzzer.check_leftovers()
    assert fuzzer.tally.unexpected == []
    assert fuzzer.tally.outcomes["refused: too large"] >= 5


def test_whole_files_are_decoded(fuzzer):
    seeds = fuzz.still_seeds() | fuzz.clip_seeds()
    assert {fuzzer.run(name, content) for name, content in seeds.items()} == {"decoded"}


def test_a_case_is_the_same_whenever_it_is_made_again():
    seeds = fuzz.still_seeds()
    assert [fuzz.mutated(seeds, 1, number) for number in range(20)] == [
        fuzz.mutated(seeds, 1, number) for number in range(20)
    ]
    assert fuzz.mutated(seeds, 1, 3) != fuzz.mutated(seeds, 2, 3)


def test_what_none_may_do_is_recorded(fuzzer, monkeypatch):
    def misbehave(path: Path) -> str:
        os.truncate(path, 1)
        raise RuntimeError("boo")

    monkeypatch.setattr(fuzz, "_decoded", misbehave)
    assert fuzzer.run("case", b"content") == "unexpected"
    raised, changed = fuzzer.tally.unexpected
    assert "RuntimeError: boo" in raised
    assert "changed" in changed
