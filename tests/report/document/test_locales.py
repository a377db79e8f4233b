import re
import tomllib
from string import Formatter

import pytest

from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from faceloupe.report import translation
from faceloupe.report.document.locales import LANGUAGES, read_texts, texts_in

REPORT = ROOT / "src" / "faceloupe" / "report"
LOCALES = REPORT / "document" / "locales"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_language_has_every_text_with_the_same_fields_in_it():
    english = texts_in("en")
    assert LANGUAGES == ("en", "de", "fr")
    for language in LANGUAGES:
        texts = tomllib.loads((LOCALES / f"{language}.toml").read_text("utf-8"))
        assert list(texts) == list(english), language
        assert texts == texts_in(language)
        for key, text in texts.items():
            assert text, (language, key)
            assert fields(text) == fields(english[key]), (language, key)


def test_the_fixed_texts_cannot_be_changed():
    with pytest.raises(TypeError):
        texts_in("en")["title"] = "Proof of guilt"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('a = "x"', "^fr.toml has no text 'b'; its keys must be those of en.toml.$"),
        ('a = "x"\nb = "y"\nc = "z"', "^fr.toml has an unknown text 'c'; its keys must be those of en.toml.$"),
        ("a = x", "^The texts of reports in fr.toml cannot be read"),
        (None, "^The texts of reports in fr.toml cannot be read"),
    ],
)
def test_a_file_without_the_keys_of_english_is_reported_in_one_sentence(tmp_path, content, sentence):
    (tmp_path / "en.toml").write_text('a = "1"\nb = "2"')
    if content:
        (tmp_path / "fr.toml").write_text(content)
    with pytest.raises(UsageError, match=sentence):
        read_texts(tmp_path / "fr.toml", tmp_path / "en.toml")


def test_an_unknown_language_is_refused_in_one_sentence():
    with pytest.raises(UsageError, match=r"^Reports can be written in en, de, fr, not in 'xx'\.$"):
        texts_in("xx")


def test_every_text_is_used():
    sources = "".join(path.read_text(encoding="utf-8") for path in REPORT.rglob("*") if path.suffix in (".py", ".j2"))
    built = {
        "alt_",
        "caption_",
        "legend_",
        "means_",
        "type_",
        "outcome_",
        "support_",
        "step_",
        "confidence_",
        "credentials_",
        "disagrees_",
        "ratio_",
    }  # the rest of the key is put together
    for key in texts_in("en"):
        if key.partition("_")[0] in translation._WORDS:  # templates, which have a test of their own
            continue
        named = re.search(rf"""["'.]{key}\b""", sources)
        assert named or any(key.startswith(start) and start in sources for start in built) or key.endswith("_of"), key
