import re
from string import Formatter

import pytest

from faceloupe.errors import UsageError
from faceloupe.installation import ROOT
from faceloupe.report.document.locales import LANGUAGES, texts_in

REPORT = ROOT / "src" / "faceloupe" / "report"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_language_has_every_text_with_the_same_fields_in_it():
    english = LANGUAGES["en"]
    assert len(LANGUAGES) > 1
    for language, texts in LANGUAGES.items():
        assert list(texts) == list(english), language
        assert all(texts.values()), language
        for key, text in texts.items():
            assert fields(text) == fields(english[key]), (language, key)


def test_the_fixed_texts_cannot_be_changed():
    with pytest.raises(TypeError):
        LANGUAGES["en"]["title"] = "Proof of guilt"


def test_an_unknown_language_is_refused_in_one_sentence():
    with pytest.raises(UsageError, match=r"^Reports can be written in en and de, not in 'xx'\.$"):
        texts_in("xx")


def test_every_text_is_used():
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in REPORT.rglob("*")
        if path.suffix in (".py", ".j2") and path.stem != "locales"
    )
    built = {"alt_", "caption_", "legend_", "means_", "type_"}  # the rest of the key is put together
    for key in LANGUAGES["en"]:
        named = re.search(rf"""["'.]{key}\b""", sources)
        assert named or any(key.startswith(start) and start in sources for start in built) or key.endswith("_of"), key
