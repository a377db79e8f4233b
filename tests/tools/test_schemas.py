"""The published JSON Schema files are those of the code."""

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator
from tools.schemas import FOLDER, BatchRow, BundleManifest, schemas, text

from faceloupe.batch.table import COLUMNS
from faceloupe.bundle.format import Manifest, Member


@pytest.mark.parametrize("name", schemas())
def test_the_file_is_what_the_code_makes_and_is_a_schema(name):
    schema = schemas()[name]
    assert (FOLDER / name).read_text(encoding="utf-8") == text(schema), "run python -m tools.schemas"
    Draft202012Validator.check_schema(schema)


def test_a_manifest_has_the_published_form():
    members = (Member("case.json", 12, "a" * 64),)
    content = Manifest("2026-01-01T00:00:00Z", "0", "abc", 1, "b" * 64, False, 0, members).to_bytes()
    Draft202012Validator(schemas()["bundle.json"]).validate(json.loads(content))
    assert msgspec.json.decode(content, type=BundleManifest).members[0].size == 12


def test_the_row_has_the_columns_of_the_table():
    assert BatchRow.__struct_fields__ == COLUMNS
