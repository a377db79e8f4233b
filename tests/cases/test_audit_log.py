"""Every change of the log is detected."""

import hashlib
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest

from faceloupe.cases import audit_log
from faceloupe.cases.audit_anchors import AnchorFile
from faceloupe.cases.audit_log import START, STORE, Entry, Head
from faceloupe.cases.audit_verify import ExpectedHeads, check, check_stored
from faceloupe.errors import CaseError
from tests.cases.conftest import actions, filed

CHANGES = 1000
COLUMNS = ("chain", "seq", "utc", "actor", "action", "parameters", "previous_sha256", "sha256")


def busy(store, case) -> None:
    """Give a case a log of some length."""
    for number in range(4):
        item = filed(store, case, b"%d" % number, f"Bild {number} Ähre.jpg")
        store.reviews.view_score(case.id, item.sha256, examiner="Bob")
        store.reviews.decide(case.id, item.sha256, outcome="authentic", reason="r", confidence="low", examiner="Bob")
        store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Cleo")
    store.reviews.add_note(case.id, "Ein Wort, 1 Satz & <b>", author="Bob")
    store.reviews.record_export(case.id, actor="Bob", parameters={"bundle": "b.zip", "sha256": "0" * 64})


@pytest.fixture
def loose(store, case, folder):
    """A copy of the database in memory without triggers, and the heads of the case from the file of heads."""
    busy(store, case)
    with closing(sqlite3.connect(folder / "cases.sqlite")) as source:
        memory = sqlite3.connect(":memory:", isolation_level=None)
        source.backup(memory)
    for (name,) in memory.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        memory.execute(f"DROP TRIGGER {name}")
    memory.execute("DROP INDEX log_views")  # it refuses parameters that are no JSON
    with closing(memory):
        yield memory, case.id, AnchorFile(folder / "heads.txt").read()[case.id]


def with_one_byte_changed(text: str, chance: random.Random) -> str:
    """Text that differs in one byte, and is still UTF-8."""
    content = text.encode()
    while True:
        at = chance.randrange(len(content))
        changed = content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]
        try:
            return changed.decode()
        except UnicodeDecodeError:
            continue


def edit(connection, chain, length, chance) -> int:
    seq, column = chance.randint(1, length), chance.choice(("utc", "actor", "action", "parameters", "sha256"))
    column = chance.choice((column, "previous_sha256"))
    (before,) = connection.execute(f"SELECT {column} FROM log WHERE chain = ? AND seq = ?", (chain, seq)).fetchone()
    after = with_one_byte_changed(before, chance)
    connection.execute(f"UPDATE log SET {column} = ? WHERE chain = ? AND seq = ?", (after, chain, seq))
    return seq


def remove(connection, chain, length, chance) -> int:
    seq = chance.randint(1, length)
    connection.execute("DELETE FROM log WHERE chain = ? AND seq = ?", (chain, seq))
    return seq


def remove_last(connection, chain, length, chance) -> int:
    """And cover it up in the database."""
    seq = chance.randint(1, length)
    connection.execute("DELETE FROM log WHERE chain = ? AND seq >= ?", (chain, seq))
    connection.execute(
        "INSERT OR REPLACE INTO heads SELECT chain, seq, sha256 FROM log WHERE chain = ? ORDER BY seq DESC LIMIT 1",
        (chain,),
    )
    return seq


def remove_and_close_the_gap(connection, chain, length, chance) -> int:
    seq = chance.randint(1, length)
    connection.execute("DELETE FROM log WHERE chain = ? AND seq = ?", (chain, seq))
    for later in range(seq + 1, length + 1):
        connection.execute("UPDATE log SET seq = ? WHERE chain = ? AND seq = ?", (later - 1, chain, later))
    return seq


def insert(connection, chain, length, chance) -> int:
    """A copy of some entry, with a good hash, somewhere."""
    seq = chance.randint(1, length + 1)
    for later in range(length, seq - 1, -1):
        connection.execute("UPDATE log SET seq = ? WHERE chain = ? AND seq = ?", (later + 1, chain, later))
    source = next(audit_log.entries(connection, chain))
    before = connection.execute("SELECT sha256 FROM log WHERE chain = ? AND seq = ?", (chain, seq - 1)).fetchone()
    entry = replace(source, seq=seq, action="note", previous_sha256=before[0] if before else START)
    entry = replace(entry, sha256=entry.digest())
    connection.execute(
        "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(getattr(entry, column) for column in COLUMNS)
    )
    return seq


def swap(connection, chain, length, chance) -> int:
    first, other = sorted(chance.sample(range(1, length + 1), 2))
    for old, new in ((first, 0), (other, first), (0, other)):
        connection.execute("UPDATE log SET seq = ? WHERE chain = ? AND seq = ?", (new, chain, old))
    return first


def move_away(connection, chain, length, chance) -> int:
    seq = chance.randint(1, length)
    connection.execute("UPDATE log SET chain = 'elsewhere' WHERE chain = ? AND seq = ?", (chain, seq))
    return seq


def rewrite(connection, chain, length, chance) -> int:
    """Edit an entry, and give it and all that follow new hashes, and the head too."""
    seq, previous = chance.randint(1, length), None
    for entry in list(audit_log.entries(connection, chain))[seq - 1 :]:
        entry = replace(entry, previous_sha256=previous or entry.previous_sha256)
        if previous is None:
            entry = replace(entry, actor="Mallory")
        previous = entry.digest()
        connection.execute(
            "UPDATE log SET actor = ?, previous_sha256 = ?, sha256 = ? WHERE chain = ? AND seq = ?",
            (entry.actor, entry.previous_sha256, previous, chain, entry.seq),
        )
    connection.execute("UPDATE heads SET sha256 = ? WHERE chain = ?", (previous, chain))
    return seq


def lose_the_head(connection, chain, length, chance) -> int:
    connection.execute("DELETE FROM heads WHERE chain = ?", (chain,))
    return 1


WAYS = (
    edit,
    edit,
    edit,
    remove,
    remove_last,
    remove_and_close_the_gap,
    insert,
    swap,
    move_away,
    rewrite,
    lose_the_head,
)


def test_every_one_of_a_thousand_random_changes_is_found_where_it_was_made(loose):
    connection, chain, noted = loose
    good = check_stored(connection, chain, noted)
    assert good.ok
    assert good.entries > 25
    for number in range(CHANGES):
        chance = random.Random(number)
        way = chance.choice(WAYS)
        connection.execute("SAVEPOINT untouched")
        seq = way(connection, chain, good.entries, chance)
        result = check_stored(connection, chain, noted)
        assert not result.ok, (number, way.__name__, seq)
        assert result.first_broken == seq, (number, way.__name__, result)
        assert result.reason.startswith(f"Entry {seq} ")
        connection.execute("ROLLBACK TO untouched")
    assert check_stored(connection, chain, noted) == good


def test_bytes_changed_in_the_database_file_are_found(store, case, folder):
    busy(store, case)
    path, chance = folder / "cases.sqlite", random.Random(0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")  # leaves one copy of each row
    before = path.read_bytes()
    for entry in store.log.entries(case.id):
        record = entry.utc + entry.actor + entry.action + entry.parameters + entry.previous_sha256 + entry.sha256
        assert before.count(record.encode()) == 1
        for _ in range(5):
            at = before.index(record.encode()) + chance.randrange(len(record.encode()))
            path.write_bytes(before[:at] + bytes([before[at] ^ 1 << chance.randrange(8)]) + before[at + 1 :])
            assert store.log.verify(case.id).first_broken == entry.seq
    path.write_bytes(before)
    assert store.log.verify(case.id).ok


def test_the_database_itself_forbids_changes_to_the_log(store, case, folder):
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        for statement in (
            "UPDATE log SET actor = 'Mallory'",
            "DELETE FROM log",
            "REPLACE INTO log SELECT chain, seq, utc, 'Mallory', action, parameters, previous_sha256, sha256 FROM log",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="what is written stays"):
                connection.execute(statement)


def test_the_database_itself_forbids_changes_to_what_the_log_tells_of(store, case, folder):
    busy(store, case)
    with closing(sqlite3.connect(folder / "cases.sqlite")) as connection:
        for table in ("cases", "evidence", "items", "runs", "pictures", "notes", "decisions", "sign_offs"):
            (column,) = connection.execute("SELECT name FROM pragma_table_info(?) LIMIT 1", (table,)).fetchone()
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
                with pytest.raises(sqlite3.IntegrityError, match=f"{table}: what is written stays"):
                    connection.execute(statement)


def test_text_with_the_same_meaning_is_an_edit_too(store, case):
    entry = store.log.entries(case.id)[0]
    assert entry.intact
    for other in (entry.parameters + " ", entry.parameters.replace(":", ": "), '{"a":1,' + entry.parameters[1:]):
        assert not replace(entry, parameters=other).intact


def test_the_hash_is_that_of_the_documented_text(store, case):
    store.reviews.add_note(case.id, "Ähre\n", author="Bob")
    entry = store.log.entries(case.id)[-1]
    text = (
        f'{{"action":"note","actor":"Bob","chain":"{case.id}","parameters":{{"sha256":null,"text":"Ähre\\n"}},'
        f'"previous_sha256":"{entry.previous_sha256}","seq":2,"utc":"{entry.utc}"}}'
    )
    assert entry.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_entries_survive_the_way_through_json(store, case):
    busy(store, case)
    entries = store.log.entries(case.id)
    texts = [msgspec.json.encode(entry.to_record()) for entry in entries]
    again = [Entry.of(case.id, json.loads(text)) for text in texts]
    assert tuple(again) == entries
    head = Head(case.id, len(entries), entries[-1].sha256)
    assert check(again, ExpectedHeads(head)).ok
    assert check(again[:-1], ExpectedHeads(head)).first_broken == len(entries)


def test_a_case_that_was_taken_out_of_the_database_is_missed(store, case, folder):
    with closing(sqlite3.connect(folder / "cases.sqlite", isolation_level=None)) as connection:
        for trigger in ("cases_no_delete", "log_no_delete"):
            connection.execute(f"DROP TRIGGER {trigger}")
        for table, column in (("cases", "id"), ("log", "chain"), ("heads", "chain")):
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (case.id,))
    checks = store.log.verify_all()
    assert checks[STORE].ok
    assert checks[case.id].first_broken == 1
    assert store.log.verify(case.id) == checks[case.id]


def test_without_the_file_of_heads_the_end_of_the_log_is_not_vouched_for(store, case, folder):
    (folder / "heads.txt").unlink()
    result = store.log.verify(case.id)
    assert (result.ok, result.first_broken) == (False, 2)
    store.reviews.add_note(case.id, "text", author="Bob")
    type(store)(folder)
    assert not (folder / "heads.txt").exists()  # nobody makes it anew, and covers the loss


def test_heads_that_were_not_written_any_more_raise_no_alarm(store, case, folder):
    busy(store, case)
    lines = (folder / "heads.txt").read_text()
    for remaining in (lines[:-30], lines[: lines.rindex("\n")], ""):
        (folder / "heads.txt").write_text(remaining)
        assert store.log.verify(case.id).ok
        store.reviews.add_note(case.id, "text", author="Bob")
        assert store.log.verify(case.id).ok


def test_a_head_that_was_changed_is_found(store, case, folder):
    text = (folder / "heads.txt").read_text()
    (folder / "heads.txt").write_text(text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert store.log.verify(case.id).first_broken == 1


def test_nothing_is_known_of_a_case_that_never_was(store):
    with pytest.raises(CaseError, match="There is no case"):
        store.log.verify("0" * 12)


def test_what_a_case_goes_through_is_logged_in_order(store, case):
    item = filed(store, case)
    store.reviews.view_score(case.id, item.sha256, examiner="Bob")
    store.reviews.decide(case.id, item.sha256, outcome="authentic", reason="r", confidence="low", examiner="Bob")
    store.reviews.sign_off(case.id, sha256=item.sha256, reviewer="Cleo")
    store.runs.fail(case.id, item.sha256, actor="Bob", reason="cancelled")
    store.log.record_failure(case.id, "intake", actor="Bob", reason="gone", name="x\n.jpg")
    store.reviews.record_export(case.id, actor="Bob", parameters={"name": "b.zip"})
    assert actions(store, case.id) == [
        *("case created", "intake begun", "intake", "run begun", "run", "score viewed", "decision", "sign-off"),
        *("run failed", "intake failed", "export"),
    ]
    entries = store.log.entries(case.id)
    assert [entry.seq for entry in entries] == list(range(1, 12))
    assert [entry.utc for entry in entries] == sorted(entry.utc for entry in entries)
    assert all(len(entry.utc) == len("2026-01-01T00:00:00.000000Z") for entry in entries)


def test_the_end_and_the_head_of_a_log_are_read_without_the_rest(store, case):
    for number in range(5):
        store.reviews.add_note(case.id, f"{number}", author="Ann")
    entries = store.log.entries(case.id)
    assert store.log.newest(case.id, 3) == tuple(reversed(entries[-3:]))
    assert store.log.newest(case.id, 100) == tuple(reversed(entries))
    assert store.log.head(case.id) == Head(case.id, len(entries), entries[-1].sha256)
