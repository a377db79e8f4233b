"""Keep the pages under test away from the cases of the person who runs the tests."""

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.installation import APP
from faceloupe.ui import resources
from tests.pages.record import TIMEOUT


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path / "data"))
    resources.cases.clear()
    resources.people.clear()
    yield tmp_path / "data"
    resources.cases.clear()
    resources.people.clear()


@pytest.fixture
def app():
    return AppTest.from_file(str(APP), default_timeout=TIMEOUT).run()
