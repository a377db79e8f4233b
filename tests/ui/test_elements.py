"""Names and messages on the pages."""

import re
import tomllib
from types import SimpleNamespace

import pytest

from faceloupe.batch.results import BatchResults
from faceloupe.installation import ROOT
from faceloupe.models.record import Thresholds
from faceloupe.types import Outcome
from faceloupe.ui.batch import charts
from faceloupe.ui.elements import plain

JOINER = "\u2060"


def unescaped(text: str) -> str:
    """Return the text after Markdown has processed its escapes."""
    return text.replace("\\", "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("www.evil.example.jpg", f"www{JOINER}.evil.example.jpg"),
        ("WWW.evil.example", f"WWW{JOINER}.evil.example"),
        ("http://evil.example", f"http:{JOINER}//evil.example"),
        ("mail ada@evil.example", f"mail ada@{JOINER}evil.example"),
        (":material/verified: log verified", f":{JOINER}material/verified: log verified"),
        (":streamlit:", f":{JOINER}streamlit:"),
        (":+1: :100:", f":{JOINER}+1: :{JOINER}100:"),
        ("face -- copy -> final <- x >= y", f"face -{JOINER}- copy -{JOINER}> final <{JOINER}- x >{JOINER}= y"),
    ],
)
def test_what_streamlit_would_rewrite_behind_markdowns_back_is_broken(name, shown):
    assert unescaped(plain(name)) == shown


@pytest.mark.parametrize(
    "name", ["photo 1-2.jpg", "12:30:05", "not applicable: too small", "a_b--c.png", "x <y> [z](w)"]
)
def test_other_names_stay_as_they_are(name):
    assert unescaped(plain(name)) == name


def test_every_outcome_has_a_look_of_its_own_without_color():
    patterns = [charts._paint(outcome)["pattern"]["shape"] for outcome in Outcome]
    assert len(set(patterns)) == len(Outcome)


def luminance(color: str) -> float:
    """Relative luminance of #RRGGBB, 0..1 (WCAG 2.2)."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, other: str) -> float:
    """Contrast of two colors, 1..21 (WCAG 2.2)."""
    dark, light = sorted((luminance(first), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_the_contrast_to_be_read(scheme):
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][scheme]
    for ground in ("backgroundColor", "secondaryBackgroundColor"):
        for ink in ("textColor", "linkColor", "codeTextColor"):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_words_at_the_door_have_it_too(scheme):
    page = ROOT.joinpath("src", "faceloupe", "ui", "auth", "login.html.j2").read_text(encoding="utf-8")
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9A-F]{6})", re.findall(r":root {(.+)}", page)[scheme]))
    for ink, ground in (("ink", "ground"), ("pale", "ground"), ("ink", "panel"), ("on-key", "key")):
        assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)


def test_thresholds_are_those_of_the_model_that_scored(tmp_path):
    head = (
        "path,sha256,media_type,outcome,score,log10_lr,faces,reason,duration_s,model_id,duplicate_of,near_duplicate_of"
    )
    (tmp_path / "t.csv").write_text(f"{head}\na.jpg,00,image,authentic,0.1,-1,1,r,,some-model,,\n")
    results = BatchResults.read(tmp_path / "t.csv")
    assert results.model == "some-model"
    assert not charts.score_histogram(results, None).layout.shapes  # a model that is not here any more


def test_numbers_in_the_figures_of_a_batch_are_written_as_the_language_does(tmp_path, monkeypatch):
    head = "path,sha256,media_type,outcome,score,log10_lr,faces,reason,duration_s,model_id,duplicate_of"
    rows = "\n".join(f"{number}.jpg,00,image,authentic,0.1,-1,1,r,,some-model,," for number in range(1200))
    (tmp_path / "t.csv").write_text(f"{head},near_duplicate_of\n{rows}\n")
    results = BatchResults.read(tmp_path / "t.csv")
    monkeypatch.setattr(charts, "current", lambda: "de")
    assert charts.counts_bar(results).data[0].text == ("1.200",)
    record = SimpleNamespace(thresholds=Thresholds(0.05, 0.87))
    assert [note.text for note in charts.score_histogram(results, record).layout.annotations] == ["0,05", "0,87"]
