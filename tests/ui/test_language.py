"""The texts of the app in every language."""

import ast
import re
import tomllib

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.batch.results import SORTS
from faceloupe.cases.records import Confidence, ReviewState
from faceloupe.config import EFFORTS
from faceloupe.forensics.registry import LENSES, ROBUSTNESS
from faceloupe.installation import APP, ROOT
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.samples import CLIP, SAMPLES
from faceloupe.types import Outcome
from faceloupe.ui import language

UI = ROOT / "src" / "faceloupe" / "ui"
SOURCES = [APP, *(ROOT / "pages").glob("*.py"), *UI.rglob("*.py")]
CHOICES = {  # words of the core that pages show
    *map(outcome_words, Outcome),
    *Confidence,
    *ReviewState,
    *(effort.capitalize() for effort in EFFORTS),
    *SORTS,
    *(sample.title for sample in (*SAMPLES, CLIP)),
    *(text for lens in (*LENSES, ROBUSTNESS) for text in (lens.title, lens.shows, lens.does_not_show)),
    *("English", "generated", "changed", "authentic faces", "manipulated faces"),
}
OTHERS = [code for code in language.LANGUAGES if code != language.ENGLISH]


def texts_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value]
    return [*texts_of(node.body), *texts_of(node.orelse)] if isinstance(node, ast.IfExp) else []


def used() -> set[str]:
    """Every text in the code that is shown through ``tr`` or marked by ``later``, and every term."""
    texts = set(CHOICES)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if node.func.id in ("tr", "later"):
                    texts.update(texts_of(node.args[0]))
                elif node.func.id == "Term":
                    texts.update(text for part in node.args for text in texts_of(part))
    return texts


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"\{[^{}]+\}", text))


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_a_text_for_every_text_of_the_pages_and_no_other(code):
    texts = set(tomllib.loads((UI / "locales" / f"{code}.toml").read_text(encoding="utf-8")))
    assert used() - texts == set()
    assert texts - used() == set()


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_fills_in_what_its_english_text_does(code):
    differing = [text for text, other in language.texts_in(code).items() if fields(text) != fields(other)]
    assert differing == []


def test_a_text_that_a_file_lacks_is_shown_in_english(monkeypatch):
    monkeypatch.setattr(language, "texts_in", lambda code: {"Start": "Anfang"})
    assert (language.tr("Start"), language.tr("Nobody wrote {count}", count=2)) == ("Anfang", "Nobody wrote 2")


def test_the_app_chosen_to_be_german_is_german_on_every_page(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELOUPE_DATA", str(tmp_path))
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app.switch_page("../pages/settings.py").run()
    app.selectbox(key="app_language_input").select("de").run()
    assert app.header[0].value == "Einstellungen"
    for page, title in (("cases", "Fälle"), ("verify", "Prüfen"), ("glossary", "Glossar")):
        app.switch_page(f"../pages/{page}.py").run()
        assert not app.exception
        assert app.header[0].value == title
    app.switch_page("../pages/start.py").run()
    assert "Untersucht, ob Gesichter" in " ".join(part.value for part in app.markdown)


def test_numbers_are_written_as_the_language_does(monkeypatch):
    monkeypatch.setattr(language, "current", lambda: "de")
    assert language.tr("{count:,} rows", count=1234) == "1.234 Zeilen"
    assert language.tr("score {score:.4f}<extra></extra>", score=0.5) == "Wert 0,5000<extra></extra>"
