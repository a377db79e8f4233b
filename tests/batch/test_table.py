import csv
import multiprocessing
import resource
import subprocess
import sys

import pytest

from faceloupe.batch.table import COLUMNS, CONTRACT, Row, Table, cell, header, line
from faceloupe.errors import UsageError
from tests.batch.conftest import read

FORKED = multiprocessing.get_context("fork")


def row(path: str = "x.jpg", **others: str) -> Row:
    return Row(**(dict.fromkeys(COLUMNS, "") | {"path": path} | others))


def test_the_contracts_columns_come_first():
    named = "path, sha256, media_type, outcome, score, log10_lr, faces, reason, duration_s, model_id, weights_sha256"
    assert f"{', '.join(COLUMNS)}, ".startswith(f"{named}, tool_version, ")
    assert COLUMNS[: len(CONTRACT)] == CONTRACT


def test_a_column_that_came_later_stands_after_all_others():
    assert COLUMNS[len(CONTRACT) :] == (
        "duplicate_of",
        "near_duplicate_of",
        "perceptual_hash",
        "effort",
        "provenance",
        "generator",
    )


@pytest.mark.parametrize("path", ["a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", '"', "\r\n", "ünï", r"\xff", "", " a "])
def test_a_path_is_read_as_it_was_written(tmp_path, path):
    table = Table(tmp_path / "t.csv", resume=False)
    places = [table.add(row(path, reason="first")), table.add(row(path, reason="second"))]
    assert [table.at(position).reason for position in places] == ["first", "second"]
    assert [(row.path, position) for row, position in table.rows()] == [(path, position) for position in places]
    table.close()
    assert [row["path"] for row in read(tmp_path / "t.csv")] == [path, path]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_run_is_neutralized_and_numbers_are_not(text):
    assert cell(text) == f"'{text}"
    assert cell(-1.5) == "-1.5"
    assert cell(None) == ""


def test_rows_that_were_cut_are_removed_wherever_the_cut_is(tmp_path):
    rows = [row("first"), row('se\r\n"cond"', reason="a,\r\n"), row("third")]
    whole = b"".join([header(), *map(line, rows)])
    ends = [len(b"".join([header(), *map(line, rows[:count])])) for count in range(4)]
    for cut in range(len(whole) + 1):
        path = tmp_path / "t.csv"
        path.write_bytes(whole[:cut])
        Table(path, resume=True).close()
        left = max((end for end in ends if end <= cut), default=ends[0])  # the header is written anew
        assert path.read_bytes() == whole[:left], cut


def test_a_table_begins_with_a_byte_order_mark_and_one_without_it_is_taken_up_as_it_is(tmp_path):
    new, old = tmp_path / "new.csv", tmp_path / "old.csv"
    old.write_bytes(line(COLUMNS) + line(row("before")))
    for path in (new, old):
        table = Table(path, resume=path is old)
        table.add(row("ünï"))
        table.close()
    assert new.read_bytes() == b"\xef\xbb\xbf" + line(COLUMNS) + line(row("ünï"))
    assert old.read_bytes() == line(COLUMNS) + line(row("before")) + line(row("ünï"))
    assert [row["path"] for row in read(new)] == ["ünï"]
    assert [row["path"] for row in read(old)] == ["before", "ünï"]


def test_a_table_longer_than_a_piece_that_is_read_at_once_is_taken_up(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    table = Table(path, resume=False)
    places = [table.add(row(f'{number}\r\n"', reason="\r\n" * (number % 7))) for number in range(300)]
    table.close()
    for chunk in (1, 2, 3, 64, 1000):
        monkeypatch.setattr("faceloupe.batch.table._CHUNK", chunk)
        table = Table(path, resume=True)
        assert [position for _, position in table.rows()] == places
        table.close()


WRONG_ROWS = {
    "too few cells": line(row("second")).replace(b",", b"", 1),
    "too many cells": line([*row("second"), ""]),
    "not UTF-8": line(row("second")).replace(b"second", b"\xff"),
    "quotes within a cell": line(row("second")).replace(b"second", b'"sec"o"nd"'),
    "a hash that is none": line(row("second", sha256="0" * 63 + "g")),
    "a hash cut short": line(row("second", sha256="00")),
    "another hash that is none": line(row("second", perceptual_hash="1.8E+19")),
    "a hash that is too long": line(row("second", perceptual_hash="f" * 17)),
    "a decimal comma": line(row("second", score="0,93")),
    "a part of a face": line(row("second", faces="1.5")),
}


@pytest.mark.parametrize("wrong", WRONG_ROWS.values(), ids=list(WRONG_ROWS))
def test_a_table_that_was_edited_is_refused_in_one_sentence(tmp_path, wrong):
    path = tmp_path / "t.csv"
    path.write_bytes(header() + line(row("first")) + wrong)
    table = Table(path, resume=True)
    rows = table.rows()
    _, position = next(rows)
    with pytest.raises(UsageError, match=r"Row 2 of .* is not one of a batch table"):
        next(rows)
    with pytest.raises(UsageError, match="was changed while the batch ran"):
        table.at(position._replace(offset=position.offset + position.length, length=len(wrong)))
    table.close()


def test_an_output_that_exists_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="not overwritten"):
        Table(path, resume=False)
    for content in (b"mine", b"mine\r\n", b"path,sha\r\nx,y\r\n", b"\0" * 5000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not a batch table"):
            Table(path, resume=True)
        assert path.read_bytes() == content


def _open(path, answers):
    try:
        Table(path, resume=True)
    except UsageError as problem:
        answers.send(str(problem))
    else:
        answers.send("opened")


def test_two_batches_do_not_write_one_table(tmp_path):
    table = Table(tmp_path / "t.csv", resume=False)
    output, saying = FORKED.Pipe(duplex=False)
    other = FORKED.Process(target=_open, args=(tmp_path / "t.csv", saying))
    other.start()
    assert "Another batch" in output.recv()
    other.join()
    table.close()


FILL = """
import resource, signal, sys
from pathlib import Path
from faceloupe.batch.table import COLUMNS, Row, Table
from faceloupe.errors import UsageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
table = Table(Path(sys.argv[1]), resume=False)
try:
    for number in range(1000):
        table.add(Row(**(dict.fromkeys(COLUMNS, "") | {"path": f"{number}"})))
except UsageError as problem:
    print(problem)
"""


@pytest.mark.parametrize("limit", [1000, 1007, 1013])
def test_where_no_more_can_be_written_every_row_is_whole_and_the_sentence_says_so(tmp_path, limit):
    assert resource.RLIMIT_FSIZE is not None
    path = tmp_path / "t.csv"
    command = [sys.executable, "-c", FILL, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "all rows in it are complete" in done.stdout
    content = path.read_bytes()
    assert limit - 40 < len(content) <= limit
    assert content.endswith(b"\r\n")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows[1:]] == [f"{number}" for number in range(len(rows) - 1)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        Table(tmp_path / "none" / "t.csv", resume=False)
