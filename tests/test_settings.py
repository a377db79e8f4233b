"""Settings: the model of each effort, and the precedence of its sources."""

from typing import get_args

import pytest

from faceloupe.api import Analyzer
from faceloupe.cli.main import main
from faceloupe.config import DEFAULT_EFFORT, DEFAULT_MODEL, EFFORTS, Sampling, Settings
from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from faceloupe.server.schema import Effort
from faceloupe.ui.effort_input import _CAPTIONS


@pytest.fixture
def own_models(monkeypatch):
    """Give each effort its own model."""
    for effort in EFFORTS:
        monkeypatch.setitem(EFFORTS, effort, f"model-{effort}")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("EFFORT", "MODEL"):
        monkeypatch.delenv(f"FACELOUPE_{name}", raising=False)


def test_the_default_model_is_the_one_of_the_default_effort():
    assert Settings().effort == DEFAULT_EFFORT == "standard"
    assert Settings().model_id == DEFAULT_MODEL == EFFORTS["standard"]


@pytest.mark.parametrize("effort", ["quick", "standard", "thorough"])
def test_reports_state_an_effort_and_the_model_that_it_stands_for(own_models, effort):
    stated = Settings(effort=effort).as_dict()
    assert (stated["effort"], stated["model"]) == (effort, f"model-{effort}")


def test_every_list_of_efforts_has_all_of_them(capsys):
    assert list(_CAPTIONS) == list(EFFORTS)
    assert get_args(Effort) == tuple(EFFORTS)
    assert main(["analyze", "--help"]) == 0
    texts = [capsys.readouterr().out.partition("amount of computation")[2], Analyzer.__init__.__doc__]
    first, *_, last = EFFORTS
    for name in ("api.md", "command-line.md", "http-api.md", "operation.md"):
        lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
        texts += [line for line in lines if first in line and last in line]
    assert len(texts) == 6
    assert [text for text in texts if not all(effort in text for effort in EFFORTS)] == []


def test_no_effort_is_stated_where_another_model_was_named(own_models):
    named = Settings(effort="quick", model="other")
    assert (named.model_id, named.reported_effort) == ("other", None)
    assert (named.as_dict()["effort"], named.as_dict()["model"]) == (None, "other")
    assert Settings(effort="quick", model="model-quick").as_dict() == Settings(effort="quick").as_dict()


def test_an_unknown_effort_is_reported_in_one_sentence():
    with pytest.raises(UsageError, match=r"^The effort must be quick, standard or thorough, not 'fast'\.$"):
        Settings(effort="fast")


def test_a_value_out_of_its_range_is_called_by_the_name_of_its_field():
    with pytest.raises(UsageError, match=r"^start_s must be between 0 and 1e\+06, not -1\.$"):
        Sampling(start_s=-1)
    with pytest.raises(UsageError, match=r"^to_s must be between"):
        Settings(to_s=-1.0)


def test_the_environment_names_an_effort_or_a_model(own_models, monkeypatch):
    monkeypatch.setenv("FACELOUPE_EFFORT", "thorough")
    assert Settings.from_environment().model_id == "model-thorough"
    monkeypatch.setenv("FACELOUPE_MODEL", "model-thorough")
    assert Settings.from_environment().reported_effort == "thorough"
    monkeypatch.setenv("FACELOUPE_MODEL", "model-quick")
    with pytest.raises(UsageError, match="model-thorough, not model-quick"):
        Settings.from_environment()
    monkeypatch.delenv("FACELOUPE_EFFORT")
    assert Settings.from_environment().model_id == "model-quick"


@pytest.mark.parametrize("variable", ["EFFORT", "MODEL"])
def test_what_is_named_goes_before_whatever_the_environment_says_of_effort_and_model(own_models, monkeypatch, variable):
    monkeypatch.setenv(f"FACELOUPE_{variable}", "thorough" if variable == "EFFORT" else "other")
    assert Settings.from_environment({"effort": "quick"}).as_dict()["model"] == "model-quick"
    assert Settings.from_environment({"model": "third"}).as_dict()["model"] == "third"
    assert Settings.from_environment({"frames": 7}).model_id in ("model-thorough", "other")


def test_naming_both_is_refused_unless_they_go_together(own_models):
    with pytest.raises(UsageError, match="name one of the two"):
        Settings.from_environment({"effort": "standard", "model": "other"})
    assert Settings.from_environment({"effort": "quick", "model": "model-quick"}).reported_effort == "quick"


def test_a_report_is_read_back_with_the_very_model_that_it_names(own_models):
    for settings in (Settings(effort="thorough"), Settings(model="other"), Settings(frames=5)):
        assert Settings.of_report(settings.as_dict()).as_dict() == settings.as_dict()
    older = Settings(model="once-the-default").as_dict()
    del older["effort"]
    assert Settings.of_report(older).model_id == "once-the-default"
    with pytest.raises(ValueError, match="names its model"):
        Settings.of_report(older | {"model": ""})
