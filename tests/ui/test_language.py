"""The texts of the app in every language."""

import ast
import dataclasses
import re
import tomllib

import pytest
from streamlit.testing.v1 import AppTest

from faceloupe.batch.results import SORTS
from faceloupe.cases.records import Confidence, ReviewState
from faceloupe.config import EFFORTS
from faceloupe.evaluation import measures
from faceloupe.evaluation.published import HeatmapRow
from faceloupe.forensics.registry import LENSES, ROBUSTNESS
from faceloupe.installation import APP, ROOT
from faceloupe.report.comparison import FACTS
from faceloupe.report.drawing.overlays import outcome_words
from faceloupe.samples import CLIP, SAMPLES
from faceloupe.types import Outcome
from faceloupe.ui import language
from faceloupe.web.jobs import State

UI = ROOT / "src" / "faceloupe" / "ui"
SOURCES = [APP, *(ROOT / "pages").glob("*.py"), *UI.rglob("*.py")]
CHOICES = {  # words of the core that pages show
    *map(outcome_words, Outcome),
    *Confidence,
    *ReviewState,
    *(effort.capitalize() for effort in EFFORTS),
    *SORTS,
    State.QUEUED,
    State.RUNNING,
    *FACTS,
    *measures.NAMES.values(),
    *(field.name for field in dataclasses.fields(HeatmapRow)),
    *(text for sample in (*SAMPLES, CLIP) for text in (sample.title, sample.origin)),
    *(text for lens in (*LENSES, ROBUSTNESS) for text in (lens.title, lens.shows, lens.does_not_show)),
    *("English", "generated", "changed", "authentic faces", "manipulated faces"),
}
SHOWN = {"label", "help", "placeholder", "caption", "alt", "title", "text", "hovertemplate", "show_spinner"}
FIRST = {  # elements of Streamlit that show their first argument
    *(
        "markdown",
        "caption",
        "write",
        "header",
        "subheader",
        "title",
        "info",
        "warning",
        "error",
        "success",
        "expander",
    ),
    *("button", "download_button", "form_submit_button", "popover", "checkbox", "toggle", "radio", "pills", "metric"),
    *("segmented_control", "selectbox", "multiselect", "slider", "text_input", "text_area", "number_input", "spinner"),
    *("file_uploader", "tabs", "column", "number", "Column", "NumberColumn", "TextColumn"),
}
UNTRANSLATED = {"FaceLoupe", "Loading the model"}  # the latter is shown by a cache that all sessions share
OTHERS = [code for code in language.LANGUAGES if code != language.ENGLISH]


def texts_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value]
    return [*texts_of(node.body), *texts_of(node.orelse)] if isinstance(node, ast.IfExp) else []


def used() -> set[str]:
    """Every text in the code that is shown through ``tr`` or marked by ``mark_for_translation``, and every term."""
    texts = set(CHOICES)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if node.func.id in ("tr", "mark_for_translation"):
                    texts.update(texts_of(node.args[0]))
                elif node.func.id == "Term":
                    texts.update(text for part in node.args for text in texts_of(part))
    return texts


def literal(node: ast.expr) -> str:
    """Return the literal parts of an expression that builds a text, without icons and tags."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r":(material/\w+|\w+\[)|<[^>]*>", "", text)
        case ast.JoinedStr(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            return re.sub("<[^>]*>", "", "".join(map(literal, parts)))
        case ast.BinOp(left=first, right=second) | ast.IfExp(body=first, orelse=second):
            return literal(first) + literal(second)
    return ""


def shown_literals(tree: ast.AST) -> set[str]:
    """Return literal texts that a page shows: in elements and figures, and as headings of tables."""
    texts: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if ast.unparse(owner) != "_LOG":
                values = [keyword.value for keyword in node.keywords if keyword.arg in SHOWN]
                texts.update(map(literal, values + node.args[: name in FIRST]))
            case ast.Dict(keys=keys) if any(ast.unparse(key).startswith("tr(") for key in keys if key is not None):
                texts.update(literal(key) for key in keys if key is not None)
    return {text for text in texts if re.search(r"[A-Za-z]{3,}", text)}


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"\{[^{}]+\}", text))


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_a_text_for_every_text_of_the_pages_and_no_other(code):
    texts = set(tomllib.loads((UI / "locales" / f"{code}.toml").read_text(encoding="utf-8")))
    assert used() - texts == set()
    assert texts - used() == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_is_shown_around_the_translation(path):
    assert shown_literals(ast.parse(path.read_text(encoding="utf-8"))) - UNTRANSLATED == set()


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ('st.markdown("**Decision**")', {"**Decision**"}),
        ('st.error(f"{count} files", icon=":material/error:")', {" files"}),
        ('figure.update_yaxes(title="files")', {"files"}),
        ('rows = {tr("model"): 1, "case": 2}', {"case"}),
        ("st.markdown(f':green[{tr(sure)}]<br>**{name}**', help=tr('No'))", set()),
    ],
)
def test_a_text_around_the_translation_is_seen(code, texts):
    assert shown_literals(ast.parse(code)) == texts


def marked_numbers(tree: ast.AST) -> list[str]:
    """Texts that the code fills in with decimals or grouped thousands, but not as a language writes them."""
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "localized"]
    localized = [part for call in calls for part in ast.walk(call)]
    values = [node for node in nodes if isinstance(node, ast.FormattedValue) and node not in localized]
    formats = {ast.unparse(value.format_spec): ast.unparse(value) for value in values if value.format_spec}
    return [text for form, text in formats.items() if re.search(r",|\.[1-9]", form)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_number_is_shown_around_the_marks_of_the_language(path):
    assert marked_numbers(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_a_number_around_the_marks_of_the_language_is_seen():
    assert marked_numbers(ast.parse("f'{count:,}'"))
    assert marked_numbers(ast.parse("f'{share:+.1%} of it'"))
    assert not marked_numbers(ast.parse("localized(f'{share:.1%}', current()) + f'{left:.0f} {time:%H}'"))


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_fills_in_what_its_english_text_does(code):
    differing = [text for text, other in language.texts_in(code).items() if fields(text) != fields(other)]
    assert differing == []


def test_a_text_that_a_file_lacks_is_shown_in_english(monkeypatch):
    monkeypatch.setattr(language, "texts_in", lambda code: {"Start": "Anfang"})
    assert (language.tr("Start"), language.tr("Nobody wrote {count}", count=2)) == ("Anfang", "Nobody wrote 2")


def test_stages_of_jobs_are_translated_with_their_numbers_and_names(monkeypatch):
    monkeypatch.setattr(language, "current", lambda: "de")
    assert language.stage("Frame 1,200 of about 3,600") == "Einzelbild 1,200 von etwa 3,600"
    assert language.stage("a: clip 2.mp4: Hashing") == "a: clip 2.mp4: Hashen"
    assert language.stage("Of no known kind 3") == "Of no known kind 3"


def test_work_in_another_thread_tells_its_end_in_the_language_of_its_session():
    german = language.translator("de")
    assert german("{done:,} of {total:,} done", done=1000, total=2000) == "1.000 von 2.000 fertig"


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
