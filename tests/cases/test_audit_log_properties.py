"""Properties of the audit log, over generated histories and changes; the hashes are computed here a second time."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from faceloupe.cases.audit_log import START, Entry, append, entries, head
from faceloupe.cases.audit_verify import ExpectedHeads, check
from faceloupe.cases.migrations import migrate
from tests.properties import JSON, repeatable

CHAINS = ("a", "b")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(CHAINS), st.text(max_size=8), st.text(max_size=8), st.dictionaries(st.text(), JSON, max_size=2)
    ),
    min_size=1,
    max_size=6,
)


def log_of(events) -> dict[str, tuple[list[Entry], ExpectedHeads]]:
    """Write a log; return the entries of each chain, and the head that is noted of it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, "now")
        for number, (chain, actor, action, parameters) in enumerate(events):
            append(connection, chain, utc=f"t{number}", actor=actor, action=action, parameters=parameters)
        chains = {chain for chain, *_ in events}
        return {
            chain: (list(entries(connection, chain)), ExpectedHeads(head(connection, chain)))
            for chain in sorted(chains)
        }


def one_chain(events) -> tuple[list[Entry], ExpectedHeads]:
    """Write all events to one chain."""
    return log_of([("a", *event[1:]) for event in events])["a"]


@repeatable
@given(EVENTS)
def test_every_history_is_found_intact_and_its_head_is_the_hash_of_the_documented_text(events):
    for chain, (written, noted) in log_of(events).items():
        previous = START
        for number, (event, entry) in enumerate(
            zip([event for event in enumerate(events) if event[1][0] == chain], written, strict=True), 1
        ):
            at, (_, actor, action, parameters) = event
            content = {
                "action": action,
                "actor": actor,
                "chain": chain,
                "parameters": parameters,
                "previous_sha256": previous,
                "seq": number,
                "utc": f"t{at}",
            }
            text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            previous = hashlib.sha256(text.encode()).hexdigest()
            assert (entry.seq, entry.sha256) == (number, previous)
        result = check(written, noted)
        assert (result.ok, result.entries, result.head_sha256) == (True, len(written), previous)


@repeatable
@given(EVENTS, st.data())
def test_a_changed_field_is_found_at_its_entry(events, data):
    written, noted = one_chain(events)
    at = data.draw(st.integers(0, len(written) - 1))
    field = data.draw(st.sampled_from(("utc", "actor", "action", "parameters", "previous_sha256", "sha256")))
    value = data.draw(st.text(max_size=20))
    assume(value != getattr(written[at], field))
    changed = [*written[:at], replace(written[at], **{field: value}), *written[at + 1 :]]
    result = check(changed, noted)
    assert (result.ok, result.first_broken) == (False, at + 1)


@repeatable
@given(EVENTS, st.data())
def test_entries_that_are_removed_repeated_or_reordered_are_found(events, data):
    written, noted = one_chain(events)
    order = data.draw(st.lists(st.integers(0, len(written) - 1), max_size=len(written) + 2))
    assume(order != list(range(len(written))))
    wrong = next((at for at, index in enumerate(order) if index != at), len(order))
    result = check([written[index] for index in order], noted)
    assert (result.ok, result.first_broken) == (False, wrong + 1)


@repeatable
@given(EVENTS, st.data())
def test_an_end_that_was_written_again_is_found_by_the_noted_head(events, data):
    """The rewritten chain is consistent; only the head that is recorded elsewhere reveals the change."""
    _, noted = one_chain(events)
    at = data.draw(st.integers(0, len(events) - 1))
    again = [*events[:at], ("a", "someone else's name", *events[at][2:]), *events[at + 1 :]]
    rewritten, own = one_chain(again)
    assert check(rewritten, own).ok
    result = check(rewritten, noted)
    assert (result.ok, result.first_broken) == (False, len(events))


@repeatable
@given(EVENTS)
def test_entries_survive_the_way_through_json(events):
    for chain, (written, _) in log_of(events).items():
        for entry in written:
            values = json.loads(json.dumps(msgspec.to_builtins(entry.to_record())))
            assert Entry.of(chain, values) == entry
