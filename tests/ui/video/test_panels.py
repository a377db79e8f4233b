"""Texts of the page Video about a track."""

from faceloupe.ui import language
from faceloupe.ui.video.panels import strip_in_words
from tests.ui.reports import track


def test_the_strip_in_words_names_its_times_and_scores_in_the_language_of_the_app(monkeypatch):
    seen = track([0.2, None], number=7)
    assert (
        strip_in_words(seen) == "2 small pictures of track 7, from 0.00 s to 0.50 s, with the scores 0.20; not scored"
    )
    monkeypatch.setattr(language, "current", lambda: "de")
    german = "2 kleine Bilder der Spur 7, von 0,00 s bis 0,50 s, mit den Werten 0,20; nicht bewertet"
    assert strip_in_words(seen) == german
