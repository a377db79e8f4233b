"""Case reports as HTML: their content, and that they never load or run anything."""

import copy
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from faceloupe.errors import EvidenceError, ReportError, UsageError
from faceloupe.report.case_schema import CaseRecord, RunRecord, finding_run
from faceloupe.report.document.case import Letterhead
from faceloupe.report.document.html import render_html
from faceloupe.report.translation import translated
from tests.report.case_records import EXAMINER, NAME, case, chain, decision, item, note, sign_off

LETTERHEAD = Letterhead("Institute of Pictures", ("1 Long Street", "Springfield"))
VOID = {"meta", "img", "br", "col", "rect", "circle", "path", "link"}


class Page(HTMLParser):
    """Elements with their attributes, and the text that is seen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self._text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def html_of(record, pictures, *, letterhead=LETTERHEAD, with_log=True, **options) -> str:
    options["with_log"] = with_log
    return render_html(CaseRecord.from_values(record), pictures.__getitem__, letterhead=letterhead, **options)


def page(record, pictures, **options) -> Page:
    return Page(html_of(record, pictures, **options))


@pytest.fixture(scope="module")
def record(runs):
    return case(
        [
            item(
                [runs.named["generated"]],
                notes=[note("Copied from a phone.")],
                decisions=[decision("manipulated", "Pupils.")],
            ),
            item([runs.named["clip"]], sign_offs=[sign_off()]),
            item([runs.named["pair"]]),
        ],
        notes=[note("A sealed bag.")],
        sign_offs=[sign_off("C. Third")],
    )


@pytest.fixture(scope="module")
def shown(record, runs):
    return page(record, runs.pictures)


def numbers_and_words(value) -> tuple[list[float], str]:
    """All numbers of a record, and all its texts."""
    numbers, texts = [], []

    def walk(part):
        if isinstance(part, dict):
            for name, inner in part.items():
                texts.append(name)
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)
        elif isinstance(part, str):
            texts.append(part)
        elif isinstance(part, int | float) and not isinstance(part, bool):
            numbers.append(part)

    walk(value)
    return numbers, " ".join(texts)


def derived(record) -> list[float]:
    """Likelihood ratios, and the chance of one false alarm among all scored faces, as the finding in words has them."""
    reports = [item["runs"][-1]["report"] for item in record["items"] if item["runs"]]
    scored = [(report, sum(face["score"] is not None for face in report["faces"])) for report in reports]
    ratios = [10 ** abs(report["log10_lr"]) for report, _ in scored if report["log10_lr"] is not None]
    return ratios + [count * report["model"]["error_rates"]["fpr"] for report, count in scored]


def test_no_decimal_number_is_shown_that_the_record_does_not_hold_or_that_follows_from_it(record, shown):
    numbers, texts = numbers_and_words(record)
    numbers += derived(record)
    ours = shown.text[: shown.text.index("Verbal scale")] + shown.text[shown.text.index("Item 1:") :]
    result = re.findall(r"(?<![\w.])[\d,]*\d\.\d+(?: %)?(?![\w.])", ours)
    assert len(result) > 100
    for text in result:
        share, digits = text.endswith(" %"), text.removesuffix(" %").replace(",", "")
        places = len(digits.partition(".")[2])
        known = any(f"{abs(value) * (100 if share else 1):.{places}f}" == digits for value in numbers)
        assert known or digits in texts, text


def test_every_score_of_the_record_is_shown(record, shown):
    for entry in record["items"]:
        report = entry["runs"][-1]["report"]
        for scored in [report, *report["faces"]]:
            assert f"{scored['score']:.2f}" in shown.text
            assert f"{scored['log10_lr']:+.2f}" in shown.text
            assert scored["reason"] in shown.text


def put(record, path: str, value) -> None:
    *way, last = path.split(".")
    for step in way:
        record = record[int(step) if step.isdigit() else step]
    record[int(last) if last.isdigit() else last] = value


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("score", 0.1234, "0.12"),
        ("log10_lr", -0.5678, "-0.57"),
        ("verbal", "words of its own", "words of its own"),
        ("model.thresholds.upper", 0.7711, "0.77"),
        ("model.log10_lr_bounds.upper", 3.337, "+3.34"),
        ("model.error_rates.fpr", 0.4321, "43.2 %"),
        ("model.error_rates.interval_95.fnr.1", 0.8766, "87.7 %"),
        ("model.error_rates.n_real", 98765, "98,765"),
        ("model.explanation_max", 0.777, "0.777"),
        ("evidence.width", 4321, "4,321"),
        ("faces.0.raw_logit", 7.6543, "+7.654"),
        ("faces.0.heat_peak", 0.0987, "0.099"),
        ("faces.0.size_px", 555.5, "555.5"),
        ("faces.0.sharpness", 4444.44, "4,444.44"),
        ("settings.seed", 424242, "424242"),
    ],
)
def test_what_is_shown_is_what_the_record_says(path, value, text, runs):
    record = case([item([runs.named["generated"]])])
    assert text not in page(record, runs.pictures).text
    put(record, f"items.0.runs.0.report.{path}", value)
    assert text in page(record, runs.pictures).text


def test_identity_custody_and_people_are_shown(record, shown):
    for entry in record["items"]:
        assert shown.text.count(entry["sha256"]) >= 2
        assert entry["runs"][0]["report_sha256"] in shown.text
        assert all(digest in shown.text for digest in entry["runs"][0]["pictures"].values())
    for text in (
        NAME,
        EXAMINER,
        "Copied from a phone.",
        "Pupils.",
        "C. Third",
        "Institute of Pictures",
        "Springfield",
    ):
        assert text in shown.text
    for entry in record["log"]["entries"]:
        assert entry["sha256"] in shown.text
    assert "Score of the tool seen before, by the log yes" in shown.text
    assert record["tool"]["version"] in shown.text


def test_every_line_on_scope_is_shown_once(record, shown):
    lines = {line for item in record["items"] for line in item["runs"][0]["report"]["scope"]}
    for line in lines:
        assert shown.text.count(line) == 1


def test_nothing_is_fetched_and_nothing_runs(record, shown, runs):
    html = html_of(record, runs.pictures)
    assert "<script" not in html
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?\s*(?:https?:|//)", html)
    assert {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    } in shown.all("meta")
    for tag, attributes in shown.elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "form")
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert attributes.get("href", "#").startswith("#")


def test_a_reader_who_sees_nothing_finds_the_way(shown):
    assert shown.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(following <= before + 1 for before, following in pairwise(levels))
    assert len(shown.all("img")) > 8
    assert all(attributes["alt"] for attributes in shown.all("img"))
    assert all("scope" in attributes for attributes in shown.all("th"))
    assert all(attributes["aria-label"] for attributes in shown.all("svg") if attributes.get("role") == "img")


def test_links_lead_to_headings_and_no_anchor_is_there_twice(shown):
    anchors = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    links = [attributes["href"].removeprefix("#") for attributes in shown.all("a")]
    assert links == ["item-1", "item-2", "item-3"] * 2  # of the findings, and of the table of evidence
    assert set(links) <= set(anchors)


HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "&lt;b&gt;", "</style></main>")


def test_markup_in_names_and_notes_is_text(runs):
    for hostile_text in HOSTILE:
        hostile = item(
            [runs.named["generated"]],
            name=hostile_text,
            notes=[note(hostile_text, author=hostile_text)],
            decisions=[decision("odd " + hostile_text, hostile_text)],
        )
        record = case([hostile], log=chain([(hostile_text, {hostile_text: hostile_text})]))
        record["case"] |= {"name": hostile_text, "examiner": hostile_text, "id": hostile_text}
        drawn = page(record, runs.pictures)
        assert drawn.text.count(hostile_text) >= 8
        assert not drawn.all("script")
        assert all(set(attributes) == {"src", "alt", "style"} for attributes in drawn.all("img"))


def test_controls_and_direction_marks_are_replaced(runs):
    record = case([item([runs.named["generated"]], name="a\u202egpj.exe\x07\x00.jpg", notes=[note("x\u2066y\nz")])])
    html = html_of(record, runs.pictures)
    assert "a\ufffdgpj.exe\ufffd\ufffd.jpg" in html
    assert "x\ufffdy" in html
    assert not set(html) & set("\u202e\u2066\x07\x00")


def test_a_signature_says_what_came_after_it(runs):
    later = decision("authentic", "On second thought", utc="2027-01-01T00:00:00Z")
    entry = item(
        [runs.named["generated"]], decisions=[decision("manipulated", "Pupils."), later], sign_offs=[sign_off()]
    )
    open_items = {"open_items": 3, "open_reason": "Copies <b>only</b>."}
    signed = page(case([entry], sign_offs=[sign_off("C. Third") | open_items]), runs.pictures).text
    assert "Items without a decision when it was signed" in signed
    assert "Copies <b>only</b>." in signed  # as text
    assert "this program did not check who they are" in signed
    text = page(case([entry], sign_offs=[sign_off("C. Third")]), runs.pictures).text
    assert "Items without a decision" not in text
    assert text.count("Filed, examined or decided since 1") == 2
    early = page(case([entry | {"decisions": []}], sign_offs=[sign_off("C. Third")]), runs.pictures).text
    assert "Filed, examined or decided since" not in early


def test_the_face_that_decided_comes_first_among_the_pictures(runs):
    for name in ("clip", "pair"):
        run = runs.named[name]
        decided = next(face["id"] for face in run["report"]["faces"] if face["score"] == run["report"]["score"])
        crops = [picture for picture in run["pictures"] if picture.endswith("-crop.png")]
        assert len(crops) > 1
        assert f"-{decided}-" in crops[0]


def test_people_stand_above_the_tracks_with_their_outcome_and_the_shots_that_agree(runs):
    values = copy.deepcopy(runs.named["clip"])
    reason = "2 of the 2 scored shots of person 1 support manipulation: shot 4, shot 7"
    person = values["report"]["people"][0]
    person |= {"tracks": [1, 2], "outcome": "manipulated", "reason": reason, "agreeing_tracks": [1, 2]}
    values["report"]["people"] = [person]
    for track, shot in zip(values["report"]["faces"], (4, 7), strict=True):
        track |= {"person": 1, "shot": shot}
    text = page(case([item([values])]), runs.pictures).text
    people, tracks = text.index(" People "), text.index(" Tracks ")
    assert people < text.index("Shots that agree") < text.index(f"4, 7 {reason}") < tracks


def test_a_report_of_0_4_0_that_does_not_state_what_people_say_shows_its_tracks_alone(runs):
    values = copy.deepcopy(runs.named["clip"])
    for person in values["report"]["people"]:
        for added in ("outcome", "reason", "pooled", "agreeing_tracks"):
            del person[added]
    text = page(case([item([values])]), runs.pictures).text
    assert " Tracks " in text
    assert "Shots that agree" not in text


def test_what_a_record_keeps_from_its_reader_is_not_called_unexamined(runs):
    decided = [decision("authentic", "Seen by somebody else")]
    text = page(case([item([], decisions=decided, runs_withheld=1)], blind=True), runs.pictures).text
    assert "what the tool found in this item is withheld" in text
    assert "has not been examined" not in text
    assert "not examined" not in text


def test_a_closer_look_does_not_speak_for_a_video_that_was_examined_whole(runs):
    values = copy.deepcopy(runs.named["clip"]) | {"id": "closer"}
    values["report"]["segment"] = {"start_s": 0.2, "end_s": 0.9}
    whole, closer = RunRecord.from_values(runs.named["clip"]), RunRecord.from_values(values)
    for made, finding in (([whole, closer], whole), ([closer], closer), ([closer, whole], whole), ([], None)):
        assert finding_run(made, lambda run: run.report.segment is not None) is finding
    text = page(case([item([runs.named["clip"], values])]), runs.pictures).text
    assert f"The finding above is that of the run {whole.id}, the last one of the whole file." in text
    assert "0.20 s to 0.90 s alone" in text


def test_in_blind_mode_the_finding_is_withheld_until_there_is_a_decision(runs):
    before = case([item([runs.named["generated"]])], blind=True)
    text = page(before, runs.pictures).text
    report = runs.named["generated"]["report"]
    assert "what the tool found in this item is withheld" in text
    assert f"{report['score']:.2f}" not in text
    assert report["reason"] not in text
    assert not page(before, runs.pictures).all("img")
    assert "outcome: withheld" in text
    after = case(
        [item([runs.named["generated"]], decisions=[decision("authentic", "Looks fine.", score_seen_before=False)])],
        blind=True,
    )
    text = page(after, runs.pictures).text
    assert report["reason"] in text
    assert "Score of the tool seen before, by the log no" in text


@pytest.mark.parametrize("name", ["faceless", "broken"])
def test_a_file_without_a_score_is_shown_with_its_reason_and_no_number(name, runs):
    drawn = page(case([item([runs.named[name]])]), runs.pictures)
    report = runs.named[name]["report"]
    assert report["score"] is None
    assert report["reason"] in drawn.text
    assert "There is no score." in drawn.text
    assert not [svg for svg in drawn.all("svg") if svg["class"] == "ruler"]


def test_an_empty_case_and_an_item_without_a_run_are_reported_as_such(runs):
    assert "No evidence is filed to this case." in page(case([]), {}).text
    assert "This item has not been examined by the tool." in page(case([item([])]), {}).text


def test_a_broken_log_is_reported_as_broken(record, runs):
    broken = copy.deepcopy(record)
    broken["log"]["verified"] = False
    broken["log"]["entries"][0]["parameters"] = "not even JSON"
    text = page(broken, runs.pictures).text
    assert "The chain of the log is broken" in text
    assert "not even JSON" in text


def test_the_last_run_is_the_one_that_is_shown_and_all_are_listed(runs):
    first = copy.deepcopy(runs.named["generated"]) | {"id": "run-old", "report_sha256": "0" * 64}
    text = page(case([item([first, runs.named["generated"]])]), runs.pictures).text
    assert "run-old" in text
    assert "0" * 64 in text
    shown_run = runs.named["generated"]["id"]
    assert f"The finding above is that of the run {shown_run}, the last one of the whole file." in text


def test_a_german_report_is_german_and_marks_what_stays_english(record, runs):
    drawn = page(record, runs.pictures, language="de")
    assert drawn.all("html") == [{"lang": "de"}]
    assert "Bericht über die Untersuchung von Gesichtern" in drawn.text
    reason = record["items"][0]["runs"][0]["report"]["reason"]
    assert translated(reason, "de") in drawn.text
    assert reason not in drawn.text
    assert "en" in {attributes.get("lang") for attributes in drawn.all("span")}
    assert "nicht entscheidbar" in drawn.text
    assert "schwache Stützung" in drawn.text
    assert "weak support" not in drawn.text


@pytest.mark.parametrize("language", ["de", "fr"])
def test_what_a_record_states_is_in_the_language_of_the_document(language, record, runs):
    text = page(record, runs.pictures, language=language).text
    reports = [record_run["report"] for listed in record["items"] for record_run in listed["runs"]]
    sentences = {sentence for report in reports for sentence in (*report["scope"], *report["evidence"]["notes"])}
    sentences |= {claim["text"] for report in reports for claim in report["provenance"]["claims"]}
    assert len(sentences) > 8
    for sentence in sentences:
        assert sentence not in text
        assert translated(sentence, language) in text, sentence
    for english in ("Generator traces", "Quantization table", "structure:", "whole faces generated", "single faces"):
        assert english not in text, english


def test_a_picture_that_is_not_the_recorded_one_is_refused(record, runs):
    altered = {digest: content + b"\0" for digest, content in runs.pictures.items()}
    with pytest.raises(EvidenceError, match="not the picture that the record names"):
        page(record, altered)


def test_a_logo_that_is_no_picture_is_refused_and_one_that_is_stands_in_the_letterhead(runs):
    with pytest.raises(UsageError, match="must be a readable PNG"):
        Letterhead("Institute", logo_png=b"GIF89a")
    logo = next(iter(runs.pictures.values()))
    html = html_of(case([]), {}, letterhead=Letterhead("Institute", logo_png=logo))
    assert [attributes["alt"] for attributes in Page(html).all("img")] == ["Institute"]


def test_only_a_case_record_is_drawn(record):
    with pytest.raises(ReportError, match="not a case record of schema version 1"):
        page(record | {"schema_version": "2"}, {})
    with pytest.raises(ReportError, match="not a case record of schema version 1"):
        page({}, {})


def test_the_same_record_gives_the_same_page(record, runs):
    assert len({html_of(record, runs.pictures) for _ in range(2)}) == 1


def test_fields_that_this_version_does_not_know_are_named_as_such(runs):
    run = copy.deepcopy(runs.named["generated"])
    run["report"] |= {"voices": [1, 2]}
    run["report"]["faces"][0]["age"] = 30
    assert "Fields unknown to this version faces[].age, voices" in page(case([item([run])]), runs.pictures).text
    assert "unknown to this version" not in page(case([item([runs.named["generated"]])]), runs.pictures).text


def test_a_report_begins_with_what_its_reader_asks_and_prints_the_log_only_on_demand(record, runs):
    text = page(record, runs.pictures, with_log=False).text
    parts = ("Question", "Findings", "Conclusion", "Method in short", "Limits", "Signatures", "Appendix")
    places = [text.index(f" {part} ") for part in parts]
    assert places == sorted(places)
    assert places[-1] < text.index("How to read this report") < text.index("Item 1:")
    assert "Decided by examiners: 1 of 3 items. manipulated: 1." in text
    assert "Reviewer of the case C. Third" in text
    for entry in record["log"]["entries"]:
        assert entry["sha256"] == record["log"]["head_sha256"] or entry["sha256"] not in text
    assert f"The log has {len(record['log']['entries'])} entries" in text


def test_all_who_decided_or_signed_off_stand_on_the_first_pages_with_a_line_to_sign_on(runs):
    decisions = [decision("manipulated", "Pupils."), decision("authentic", "A scan.", examiner="D. Fourth")]
    signed = item([runs.named["generated"]], decisions=decisions, sign_offs=[sign_off(), sign_off("E. Fifth")])
    begin = page(case([signed]), runs.pictures).text.partition(" Appendix ")[0]
    assert "departs from the finding of the tool D. Fourth signed off: B. Lindqvist signed off: E. Fifth" in begin
    assert "Decisions that depart from the finding of the tool: 1." in begin
    reviewers = "Reviewer of item 1 B. Lindqvist Reviewer of item 1 E. Fifth"
    assert f"Examiner {EXAMINER} Examiner D. Fourth {reviewers}" in begin
    again = runs.named["generated"] | {"created_utc": "2026-12-31T00:00:00Z"}  # which nobody had seen then
    begin = page(case([signed | {"runs": [again]}]), runs.pictures).text.partition(" Appendix ")[0]
    assert "signed off before the finding shown: B. Lindqvist" in begin
    outcome = runs.named["generated"]["report"]["outcome"]
    later = decision(outcome, "A scan.", utc="2027-01-01T00:00:00Z")  # which no signature covers
    begin = page(case([signed | {"decisions": [later]}]), runs.pictures).text.partition(" Appendix ")[0]
    assert "signed off" not in begin
    assert "Lindqvist" not in begin
    assert "depart" not in begin


def test_each_kind_of_manipulation_has_its_ratio_beside_that_of_the_finding_and_says_how_they_go_together(runs):
    run = copy.deepcopy(runs.named["generated"])
    (face,) = run["report"]["faces"]
    assert "need not lie between the two" not in page(case([item([run])]), runs.pictures).text
    face["propositions"] = [
        {"name": name, "model_id": "a-1", "log10_lr": ratio} for name, ratio in (("generated", 1.25), ("changed", -0.5))
    ]
    text = page(case([item([run])]), runs.pictures).text
    for part in face["propositions"]:
        phrase = {"generated": "generated whole", "changed": "changed in part"}[part["name"]]
        assert f"log10 LR, {phrase} {part['log10_lr']:+.2f}" in text
    assert "need not lie between the two" in text


def test_the_findings_of_many_items_are_counted(runs):
    decided = item([runs.named["generated"]], decisions=[decision("authentic", "Looks fine.")])
    text = page(case([decided] * 5 + [item([runs.named["faceless"]])] * 4 + [item([])]), runs.pictures).text
    result = runs.named["generated"]["report"]["outcome"].replace("_", " ")
    begin = text[text.index("Findings") : text.index("Method in short")]
    assert f"{result} 5 " in begin
    assert "not applicable 4 0" in begin
    assert "none yet 1 5" in begin


def test_no_conclusion_is_drawn_where_nobody_decided(runs):
    assert "there is no conclusion yet" in page(case([item([runs.named["generated"]])]), runs.pictures).text


@pytest.mark.parametrize(
    ("language", "expected", "title"),
    [
        ("de", ("02.03.2026, 09:", "98.765", "43,2 %"), "Schlussfolgerung"),
        ("fr", ("02/03/2026, 09:", "98 765", "43,2 %"), "Constatations"),
    ],
)
def test_numbers_times_and_propositions_are_written_as_the_language_does(language, expected, title, runs):
    record = copy.deepcopy(case([item([runs.named["generated"]], notes=[note("Seen.")])]))
    put(record, "items.0.runs.0.report.model.error_rates.n_real", 98765)
    put(record, "items.0.runs.0.report.model.error_rates.fpr", 0.4321)
    drawn = page(record, runs.pictures, language=language, with_log=False)
    assert drawn.all("html") == [{"lang": language}]
    for text in (*expected, title):
        assert text in drawn.text, text
    for english in ("98,765", "43.2 %", "The face is as a camera recorded it", "2026-03-02T"):
        assert english not in drawn.text, english


def test_the_log_is_printed_without_brackets_and_fractions_of_a_second(runs):
    record = case([item([runs.named["generated"]])])
    entries = record["log"]["entries"]
    entries[0]["parameters"] = {"score_seen_before": True, "pictures": {"boxes.png": "ab" * 32}, "sizes": [1, 2]}
    entries[0]["utc"] = "2026-12-01T12:41:55.658123Z"
    text = page(record, runs.pictures).text
    assert "2026-12-01 12:41:55" in text
    assert "658123" not in text
    assert "score seen before: yes" in text
    assert f"pictures: boxes.png {'ab' * 32}" in text
    assert "sizes: 1, 2" in text


def test_a_decision_that_was_replaced_after_its_signature_stands_on_the_first_page(runs):
    made = [decision("authentic", "Known."), decision("manipulated", "Second thoughts.", utc="2026-03-02T09:50:00Z")]
    signed = [sign_off()]
    text = page(case([item([runs.named["generated"]], decisions=made, sign_offs=signed)]), runs.pictures).text
    opening = text.partition("Appendix")[0]
    assert "For item 1, a reviewer signed an earlier decision, which was replaced afterwards" in opening
    assert "replaces a decision that B. Lindqvist had signed" in opening
    again = [*signed, sign_off() | {"utc": "2026-03-02T09:55:00Z"}]
    text = page(case([item([runs.named["generated"]], decisions=made, sign_offs=again)]), runs.pictures).text
    assert "a reviewer signed an earlier decision" not in text
