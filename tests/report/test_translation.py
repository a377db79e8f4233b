"""Translations of the texts in records: every reason of the scoring is translated completely."""

import re
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from faceloupe.faces.quality import assess, low_confidence_reason
from faceloupe.findings import Familiarity, PropositionFinding
from faceloupe.forensics.results import quoted
from faceloupe.models.contract import QualityGates
from faceloupe.models.record import Thresholds
from faceloupe.report.document.locales import LANGUAGES
from faceloupe.report.translation import Part, translated, translated_fact
from faceloupe.scoring.decision import (
    adjust_for_person,
    kind_suffix,
    of_face,
    of_image,
    of_score,
    of_track,
    of_video,
    withhold_if_flawed,
)
from faceloupe.types import Box, DetectedFace, Outcome
from tests.scoring.test_decision import STRICT, THRESHOLDS, finding, judged, pooled, track

OTHERS = [language for language in LANGUAGES if language != "en"]
ENGLISH = re.compile(r"\b(the|of|is|are|scored|faces?|shots?|tracks?|needed|at|or|lies|below|only|could|from|and)\b")


def problems() -> list[str]:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    gray = noise[..., :1].repeat(3, axis=2)
    flat = np.zeros((64, 64, 3), np.uint8)
    gates = QualityGates(min_size_px=40, min_sharpness=10, min_confidence=0.9, min_color=2.0)
    cases = [(80, 0.5, noise), (20, 1.0, noise), (80, 1.0, flat), (80, 1.0, gray)]
    named = [
        assess(DetectedFace(Box(0, 0, size, size), confidence, np.zeros((5, 2))), crop, gates).problem
        for size, confidence, crop in cases
    ]
    return [*named, low_confidence_reason([0.9]), low_confidence_reason([0.9, 0.91])]


def unscored(number: int, problem: str):
    return replace(finding(number, None), reason=f"not applicable: {problem}")


def unscored_track(number: int, problem: str, frames: int = 30):
    return replace(track(number, None, frames=frames), reason=f"not applicable: {problem}")


def of_images() -> list[str]:
    kinds = [
        kind_suffix(
            Outcome.MANIPULATED,
            [PropositionFinding("generated", "a", first), PropositionFinding("changed", "b", second)],
        )
        for first, second in ((1.2, -0.3), (-0.3, 1.2), (0.9, 0.8), (0.8, 0.9))
    ]
    unlike = of_face(0.9, THRESHOLDS, Familiarity(0.7, "a collection"), 0.5)[1]
    reasons = [*(of_score(score, THRESHOLDS)[1] for score in (0.1, 0.5, 0.9)), unlike]
    reasons += [of_score(0.9, THRESHOLDS)[1] + kind for kind in kinds]
    small = problems()[1]
    groups = [
        [],
        *([unscored(1, problem)] for problem in problems()),
        [unscored(1, small), unscored(2, small)],
        [unscored(1, small), finding(2, 0.1)],
        [finding(1, 0.1), finding(2, 0.9)],
        [finding(1, 0.5), unscored(2, small)],
        [finding(1, 0.5), unscored(2, small), unscored(3, small)],
        [replace(finding(1, 0.9), reason=reasons[-1]), finding(2, 0.5), unscored(3, small)],
    ]
    return [*reasons, *(of_image(faces, smallest_px=20)[1] for faces in groups)]


def of_videos() -> list[str]:
    tracks = [
        of_track(pooled(0.9), None, THRESHOLDS, enough=3)[1],
        of_track(pooled(0.9, frames=1), None, THRESHOLDS, enough=3)[1],
        of_track(pooled(0.9, frames=2), None, THRESHOLDS, enough=3)[1],
        of_track(pooled(0.1), pooled(0.9, 0.75), THRESHOLDS, enough=3)[1],
        of_track(pooled(0.1), pooled(0.8, 0.6), THRESHOLDS, enough=3)[1],
        of_track(pooled(0.5), pooled(0.8, 0.6), THRESHOLDS, enough=3)[1],
    ]
    shots, contradicted = judged([0.85, 0.1, 0.1, 0.1, 0.1], 0.2, 0.1, frames=10)
    unsure = replace(shots[0], pooled=replace(shots[0].pooled, low=0.8), score=0.85)
    people = [contradicted.reason, adjust_for_person(unsure, contradicted, STRICT, scored=5).reason]
    people += [judged(*case)[1].reason for case in (([0.9, 0.95, 0.9, 0.5], 0.88, 0.86), ([0.1, 0.15, 0.1], 0.1, 0.1))]
    people.append(judged([0.9] * 9, 0.9, 0.9)[1].reason)  # more shots than are named
    small = problems()[1]
    videos = [
        [],
        *([unscored_track(1, problem)] for problem in problems()),
        [unscored_track(1, small), unscored_track(2, small)],
        [unscored_track(1, small), track(2, 0.1)],
        [track(1, 0.1)],
        [track(1, 0.5), unscored_track(2, small, frames=2)],
        [track(1, 0.5), unscored_track(2, small, 2), unscored_track(3, small, 2)],
        [replace(track(1, 0.9), reason=people[-1]), track(2, 0.9)],
    ]
    whole = [
        of_video(tracks_of, smallest_px=40, frames=10, unread=unread)[1]
        for tracks_of, unread in product(videos, (0, 2, 22))
    ]
    return [*tracks, *people, *whole]


REASONS = sorted({*of_images(), *of_videos()})


@pytest.mark.parametrize("language", OTHERS)
def test_every_reason_is_translated_whole_with_its_numbers(language):
    assert len(REASONS) > 50
    for reason in REASONS:
        other = translated(reason, language)
        assert not ENGLISH.search(other.replace("a collection", "")), (reason, other)
        assert "{" not in other
        digits, shown = (sorted(re.findall(r"\d+(?:[.,]\d+)?", text.replace(",", "."))) for text in (reason, other))
        assert shown == digits, (reason, other)


def test_a_reason_reads_as_german_and_french_write_it():
    reason = of_score(0.5, Thresholds(0.05, 0.87))[1]
    assert translated(reason, "de") == "nicht entscheidbar: der Wert 0,50 liegt zwischen den Schwellen 0,05 und 0,87"
    assert translated(reason, "fr") == "non concluant : le score 0,50 se situe entre les seuils 0,05 et 0,87"


def test_what_error_rates_were_measured_on_is_translated():
    assert translated("33,295 single faces, see the limits", "de") == "33.295 einzelnen Gesichtern, siehe Grenzen"


def test_a_reason_of_a_part_of_a_video_is_translated_whole():
    reason = of_video([track(1, 0.1)], smallest_px=40, frames=10, unread=0)[1]
    part = "; only 1.00 s to 2.50 s of the video were analyzed"
    assert (
        translated(reason + part, "de")
        == f"{translated(reason, 'de')}; untersucht wurde nur das Video von 1,00 s bis 2,50 s"
    )


def test_what_no_template_fits_stays_as_the_record_states_it():
    for text in ("", "The JPEG data is splendid.", "inconclusive"):
        assert translated(text, "de") == text
    held = withhold_if_flawed(finding(1, 0.9), unshown="its colors are odd").reason
    assert translated(held, "de").endswith("denn: its colors are odd")
    assert translated(held, "en") == held


def test_each_of_several_sentences_is_translated_for_itself():
    english = [
        "The EXIF data is damaged and was not read completely.",
        "Nobody wrote this.",
        "The palette was converted to RGB colors.",
    ]
    german = [
        "Die Daten (EXIF) sind beschädigt und wurden nicht vollständig gelesen.",
        english[1],
        "Die Palette wurde in RGB-Farben umgewandelt.",
    ]
    assert translated(" ".join(english), "de") == " ".join(german)


def test_each_of_several_kinds_of_manipulation_is_translated_for_itself():
    kinds = "faces swapped as in DFDC; faces drawn by a child; faces composed by hand"
    assert translated(kinds, "de", Part.KINDS) == (
        "Gesichter, getauscht wie in DFDC; faces drawn by a child; von Hand zusammengesetzte Gesichter"
    )
    assert translated(kinds, "fr", Part.KINDS) == (
        "visages échangés comme dans DFDC ; faces drawn by a child ; visages composés à la main"
    )
    assert translated(kinds, "de") == kinds


@pytest.mark.parametrize(
    ("fact", "german"),
    [
        (("State", "none (unknown provenance)"), ("Content Credentials", "keine (Herkunft unbekannt)")),
        (("Quantization table 0 (zigzag)", "16 11 10"), ("Quantisierungstabelle 0 (Zickzack)", "16 11 10")),
        (("structure: key frames", "1,200"), ("Aufbau: Schlüsselbilder", "1.200")),
        (
            ("structure: edit list", "track 1: nothing for 20; from 0 for 1000 at rate 0.5"),
            ("Aufbau: Schnittliste", "Spur 1: nichts für 20; ab 0 für 1000 mit Rate 0,5"),
        ),
        (("EXIF: MakerNote", "3,144 bytes"), ("EXIF: MakerNote", "3.144 Bytes")),
        (("EXIF: UserComment", quoted("none " * 400)), ("EXIF: UserComment", f"{'none ' * 120}... (2.000 Zeichen)")),
        (("bitstream: encoder", quoted("none " * 400)), ("Bitstrom: Encoder", f"{'none ' * 120}... (2.000 Zeichen)")),
    ],
    ids=str,
)
def test_a_fact_about_a_file_is_translated(fact, german):
    assert translated_fact(*fact, "de") == german
    assert translated_fact(*fact, "en") == fact


@pytest.mark.parametrize(
    ("fact", "german"),
    [
        (("Signer", "untrusted"), ("Unterzeichner", "untrusted")),
        (("PNG text: State", "none (unknown provenance)"), ("PNG-Text: State", "none (unknown provenance)")),
        (("PNG text: a b, prompt", "1,500"), ("PNG-Text: a b, prompt", "1,500")),
        (("EXIF: ImageDescription", "3,144 bytes"), ("EXIF: ImageDescription", "3,144 bytes")),
        (("XMP: dc:title", "progressive, 8 bits"), ("XMP: dc:title", "progressive, 8 bits")),
        (("EXIF: UserComment", "none... (2,000 characters)"), ("EXIF: UserComment", "none... (2,000 characters)")),
        (("container: comment", "faces composed by hand"), ("Container: comment", "faces composed by hand")),
    ],
    ids=str,
)
def test_the_words_of_a_file_are_never_translated(fact, german):
    assert translated_fact(*fact, "de") == german


def test_a_text_that_repeats_itself_without_end_is_left_alone_and_takes_no_time():
    began = time.process_time()
    for part in Part:
        nested = ("face 1: " * 480, "The file claims that a (b, " * 140, "log.jsonl: " * 360, "a is damaged: " * 280)
        for text in (*nested, "a; " * 1200, "1,1" * 1300, "x" * 10**7):
            translated(text, "de", part)
            translated_fact(text, text, "de")
    assert time.process_time() - began < 5.0
