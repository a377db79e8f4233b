"""The templates of sentences in records and checks: the code writes each of them, and real files need no others."""

import ast
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from faceloupe.analysis.image import _embedded
from faceloupe.bundle import format
from faceloupe.bundle.export import export_case
from faceloupe.bundle.verify import verify
from faceloupe.cases.store import CaseStore
from faceloupe.config import weights_folder
from faceloupe.errors import UsageError
from faceloupe.forensics import metadata, provenance, robustness, traces
from faceloupe.forensics.rates import measured
from faceloupe.forensics.registry import FILE_LENSES, examine
from faceloupe.forensics.results import LensResult
from faceloupe.forensics.source import FaceModel
from faceloupe.forensics.trust import TrustList
from faceloupe.installation import ROOT
from faceloupe.media import color, embedded, formats
from faceloupe.media.credentials import Action, Credentials
from faceloupe.media.evidence import Origin
from faceloupe.media.metadata import read
from faceloupe.media.statements import Metadata, Statement
from faceloupe.models.record import read_registry
from faceloupe.report import translation
from faceloupe.report.build_video import video_scope
from faceloupe.report.document.locales import LANGUAGES, texts_in
from faceloupe.report.schema import Report
from faceloupe.report.translation import Part, translated, translated_fact
from faceloupe.ui.language import translator
from tests.bundle.conftest import Made, edited_case, zipped
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.conftest import source
from tests.media.test_heif_items import APPLE_GAIN_MAP, heif
from tests.report.test_translation import REASONS

PACKAGE = ROOT / "src" / "faceloupe"
ENGLISH = texts_in("en")
TEMPLATES = [key for key in ENGLISH if "_" in key and key.partition("_")[0] in translation._WORDS]
FIELD = re.compile(r"\{[^{}]*\}")
FORMAT_1 = ROOT / "tests" / "bundle" / "format-1.zip"
HOLE = "\0"  # in a text of the code: what is filled in
FILLINGS = ("7", ' "7"', "color primaries 7", "no video", "")
MEMBERS = ("7", "case.json", "items.jsonl", "log.jsonl", "manifest.json", "manifest.sig", "0" * 64)  # and keys
NAMES = {Part.PROGRAM, Part.PLACE, Part.SIGNER}  # not each of these has a translation
OWN_WORDS = {  # families of facts whose values are words of the file, names, or numbers that stand for themselves
    *("signer", "signed", "tool", "actions", "ingredients", "failed", "problem", "address"),
    *("prompt", "negative", "model", "seed", "producer"),
    *("boxes", "png", "jpeg", "gif", "container", "stream", "bitstream", "segments", "sampling", "factors", "table"),
}
SAME_EVERYWHERE = ("EXIF: ", "XMP: ", "IPTC: ", "Content Credentials: ")  # what names of facts begin with
NOT_STATED = {"Lens", "UsageError", "Cancelled"}  # calls whose texts no report holds
NOT_OF_THE_CHECK = {"export.py", "reproduce.py"}  # of the modules of bundles
NOT_IN_REPORTS = {  # errors of calls that no report comes from
    "A frame of the camera is not a JPEG; reload the page.",
    "Frame {} cannot be decoded.",
    "No model was named that could score the changed picture.",
    "The content at byte {} of {} cannot be taken out.",
    "The manifest {} is larger than {} MiB and was not read.",
    "There is no frame to keep; start the camera first.",
}


@dataclass
class Stated:
    """Texts that reports state, each with its kind, and facts."""

    texts: set[tuple[str, Part]] = field(default_factory=set)
    facts: set[tuple[str, str]] = field(default_factory=set)

    def add(self, *texts: str | None, part: Part = Part.SENTENCE) -> None:
        self.texts |= {(text, part) for text in texts if text and letters(text)}

    def add_report(self, report: Report) -> None:
        model, origin = report.model, report.provenance
        self.add(report.reason, *report.scope, *report.evidence.notes)
        self.add(model.calibrator.fitted_on, model.error_rates.measured_on)
        self.add(*(face.reason for face in report.faces), *(person.reason for person in report.people_with_shots))
        self.add(*(face.problem for frame in report.frames for face in frame.faces))
        self.add(report.propositions.manipulated, report.propositions.authentic)
        self.add(report.propositions.kinds, part=Part.KINDS)
        for lens in report.lenses:
            self.add(lens.title, part=Part.LENS)
            self.add(lens.problem)
            self.facts |= {(fact.name, fact.value) for fact in lens.facts}
        if origin:
            self.add(*(claim.text for claim in origin.claims))
            self.add(origin.generator, part=Part.PROGRAM)

    def add_lens(self, result: LensResult) -> None:
        self.facts |= {(fact.name, fact.value) for fact in result.facts}
        self.add(*(finding.text for finding in result.findings), result.problem)
        for picture in result.pictures:
            self.add(picture.scale.caption, picture.scale.low, picture.scale.high, part=Part.PICTURE)

    def add_file(self, content: bytes) -> None:
        """Look at a file through all lenses."""
        analysis = examine(source(content))
        self.add_lens(LensResult(pictures=analysis.pictures))
        for lens in analysis.report.lenses:
            self.add_lens(LensResult(lens.facts, lens.findings, problem=lens.problem))


def stating(*listed: Statement, state: str = "none", **credentials: Any) -> Any:
    """A file that states this, as lenses see it."""
    return SimpleNamespace(
        metadata=Metadata(listed, has_position=True, thumbnail=b"preview", profile=b"profile"),
        credentials=Credentials(state, **credentials),
        with_position=False,
        trust_list=TrustList.bundled(),
    )


def of_measures(stated: Stated) -> None:
    for record in read_registry(weights_folder()).values():
        stated.add(*record.limits, record.calibrator.fitted_on, record.error_rates.measured_on)
        stated.add(record.manipulations, part=Part.KINDS)
    stated.add(*(rates.measured_on for rates in measured().rules.values()))


def of_claims(stated: Stated) -> None:
    stated.add(traces.UNNAMED, *(rule.name for rule in traces.rules()), part=Part.PROGRAM)
    for rule in traces.rules():
        for structure, example in rule.examples.items():
            keys = {key: f"0 {key}" if structure == "stream" else key for key in example}
            source_of = stating(*(Statement(structure, keys[key], value, len(value)) for key, value in example.items()))
            stated.add_lens(traces.examine(source_of))
            stated.add_lens(metadata.examine(source_of))
    actions = tuple(Action("c2pa.created", source_type, "a program") for source_type in provenance._SOURCE_TYPES)
    for state, signer in product(("trusted", "untrusted", "tampered", "invalid", "remote", "none"), ("Ada", "")):
        stated.add_lens(provenance.examine(stating(state=state, signer=signer, failures=("a.code",), actions=actions)))
    taken, changed = "2021:01:01 00:00:00", "2020:01:01 00:00:00"
    exif = (("DateTimeOriginal", taken), ("DateTime", changed), ("MakerNote", "3,144 bytes"), ("Artist", "none"))
    stated.add_lens(metadata.examine(stating(*(Statement("EXIF", key, value, len(value)) for key, value in exif))))
    stated.add_lens(metadata.examine(stating(*(Statement("JPEG comment", "comment", "none", 4) for _ in range(1500)))))


def of_videos(stated: Stated) -> None:
    for content in (files.video(), files.video(codec="libx264", container={"comment": "none"})):
        stated.add_lens(metadata.examine(stating(*read(io.BytesIO(content), "MP4").statements)))
    kinds = ("video", "audio", "subtitle", "data", "attachment")  # of streams, as FFmpeg names them
    stated.add_lens(metadata.examine(stating(*(Statement("stream", "0 codec", f"{kind}: name", 11) for kind in kinds))))
    empty, edited = ("structure", "edit list", "track 1: empty"), "track 2: nothing for 20; from 0 for 1000 at rate 0.5"
    stated.add_lens(metadata.examine(stating(Statement(*empty, 14), Statement("structure", "edit list", edited, 52))))
    read_first = Statement("structure", "frames read", "1,000 (the first ones)", 22)
    steps = Statement("structure", "seconds from one frame to the next", "1e-05 to 2, median 0.5", 22)
    stated.add_lens(metadata.examine(stating(read_first, steps)))
    part = SimpleNamespace(start_s=1.0, end_s=2.0)
    facts = SimpleNamespace(frame_count=2000)
    stated.add(*video_scope(SimpleNamespace(segment=part, frames={1: 0}, facts=facts, people=[]), [], None))


def of_formats(stated: Stated) -> None:
    stated.add(*(f"The file is {formats.unreadable(name)}." for name in formats._UNREADABLE))
    for codes in product(color._PRIMARIES, (*color._CURVES, *color._STANDARD, color._PQ, color._HLG)):
        if encoding := color.from_cicp(*codes):
            done = filter(None, (encoding.color, encoding.transfer))
            stated.add(*(f"The colors were converted as the file states: {treatment}." for treatment in done))
    two = {1: (b"hvc1", 50), 2: (b"hvc1", 70)}
    auxiliaries = (APPLE_GAIN_MAP, "urn:mpeg:hevc:2015:auxid:2", "urn:com:apple:photo:2018:aux:portraiteffectsmatte")
    contents = [heif(two, references=((b"auxl", 2, (1,)),), urns={2: urn})[0] for urn in auxiliaries]
    contents += [heif(two, groups=((kind, (1, 2)),))[0] for kind in (b"brst", b"ster", b"none")]
    held = [embedded.find(content, "HEIC") for content in contents]
    head, clip = files.saved("JPEG"), files.video()
    held += [embedded.find(files.segment(0xFE, mark, head) + clip, "JPEG") for mark in (b"none", b"MotionPhoto")]
    held += [embedded.find(files.segment(0xFE, mark, head) + head, "JPEG") for mark in (b"none", b"GDepth:")]
    held.append(embedded.find(head + files.segment(0xFE, b"hdrgm:", head) + b"words", "JPEG"))
    held.append(embedded.find(head + b"%PDF-1.7", "JPEG"))
    stated.add(*(note for pieces in held for note in _embedded(SimpleNamespace(embedded=pieces))))
    methods = ("exactly these bytes", "the whole file, with this as its main picture")
    stated.add(*(Origin("a.jpg", "0" * 64, "a video (MP4)", 100, 200, method).sentence for method in methods))


def of_pictures(stated: Stated) -> None:
    """A picture with each finding about its pixels: with a copied part, saved twice, and with another thumbnail."""
    noise = np.random.default_rng(3).normal(0, 1, (480, 640, 3))
    rgb = np.clip(128 + 600 * cv2.GaussianBlur(noise, (0, 0), 6), 0, 255).astype(np.uint8)
    rgb[250:400, 400:580] = rgb[50:200, 60:240]
    once = io.BytesIO()
    Image.fromarray(rgb).save(once, "JPEG", quality=60)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0132] = "2020:01:01 00:00:00"
    Image.open(once).save(stream, "JPEG", quality=92, exif=exif)
    stated.add_file(stream.getvalue())
    moved = io.BytesIO()
    Image.open(once).crop((3, 5, 640, 480)).save(moved, "JPEG", quality=92)
    stated.add_file(moved.getvalue())
    stated.add_file(files.saved("JPEG", progressive=True, qtables=[[7] * 64, [9] * 64]))
    stated.add_file(GENERATED.with_name("photograph.png").read_bytes())


def of_bundles(stated: Stated, folder: Path) -> None:
    """Bundles of either format, as they were made and altered, also by the holder of the key."""
    store = CaseStore(folder)
    case = store.create_case("A case", examiner="Ada")
    store.reviews.add_note(case.id, "A note", author="Ada")
    export_case(store, case.id, folder / "bundle.zip", actor="Ada", with_evidence=True)
    made = Made(store, case.id, folder / "bundle.zip", (folder / "bundle.zip").read_bytes())
    old = replace(made, content=FORMAT_1.read_bytes())
    stray = made.members | {format.evidence_name("0" * 64): b""}
    short = made.members | {format.LOG: made.members[format.LOG].splitlines(keepends=True)[0]}
    streams = [io.BytesIO(made.content[:5000]), zipped([*made.members.items(), ("../a", b"")])]
    streams += [zipped(members.items()) for members in (made.members, old.members, stray)]
    streams.append(zipped((made.members | {format.SIGNATURE: bytes(64)}).items()))
    streams += [zipped(made.signed(members).items()) for members in (stray, short)]
    for bundle, statements in product((made, old), ("notes", "decisions", "sign_offs")):

        def without(case, statements=statements):
            for part in (case, *case.get("items", [])):
                part.get(statements, []).clear()

        streams.append(zipped(bundle.signed(edited_case(bundle.members, without)).items()))
    for stream in streams:
        verification = verify(stream)
        stated.add(*(finding.text for finding in verification.findings), *verification.unchecked, part=Part.CHECK)
    with pytest.raises(UsageError) as refused:
        verify(io.BytesIO(b"no ZIP"))
    stated.add(str(refused.value), part=Part.CHECK)


@pytest.fixture(scope="module")
def everything(runs, analyzer, tmp_path_factory) -> Stated:
    """The sentences that the code states about real files, models, bundles, and many contents of files."""
    stated = Stated()
    stated.add(*REASONS)
    for of_some in (of_measures, of_claims, of_videos, of_formats, of_pictures):
        of_some(stated)
    of_bundles(stated, tmp_path_factory.mktemp("bundles"))
    face_model = FaceModel(analyzer.detector, analyzer.scorer)
    stated.add_lens(robustness.examine(source(GENERATED.read_bytes(), face_model=face_model)))
    for run in runs.named.values():
        stated.add_report(Report.from_json(json.dumps(run["report"])))
    return stated


@contextmanager
def watched(monkeypatch) -> Iterator[tuple[set[str], set[tuple[str, Part]]]]:
    """Templates that are filled in, and texts that no template fits, while others are translated."""
    used, unfit = set[str](), set[tuple[str, Part]]()
    fill, translate_one = translation._filled, translation._translated_one

    def filled(key, *rest):
        used.add(key)
        return fill(key, *rest)

    def translated_one(text, part, texts, depth):
        if part not in NAMES and translation._templates()[part].match(text) is None:
            unfit.add((text, part))
        return translate_one(text, part, texts, depth)

    monkeypatch.setattr(translation, "_filled", filled)
    monkeypatch.setattr(translation, "_translated_one", translated_one)
    translation._translated_cached.cache_clear()
    yield used, unfit
    translation._translated_cached.cache_clear()


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_all_that_is_stated_has_a_template_and_each_template_is_of_what_the_code_writes(code, everything, monkeypatch):
    with watched(monkeypatch) as (used, unfit):
        for text, part in everything.texts:
            translated(text, code, part)
        for name, value in everything.facts:
            translated_fact(name, value, code)
    assert unfit == set()
    written = texts_of_code()
    assert [key for key in TEMPLATES if key not in used and not is_written(ENGLISH[key], written)] == []


def test_every_fact_has_a_name_in_each_language_and_a_value_unless_that_is_of_the_file(everything):
    names, values = translation._templates()[Part.NAME], translation._value_templates_by_family()
    for name, value in everything.facts:
        match = names.match(name)
        if match is None:
            assert name.startswith(SAME_EVERYWHERE), (name, value)
            continue
        family = translation._family(match[0])
        assert (family in values) is (family not in OWN_WORDS), match[0]
        assert family in OWN_WORDS or values[family].match(value), (name, value)


def text_of(node: ast.expr) -> str | None:
    """Return a text of the code, with gaps for its values; None for other nodes."""
    match node:
        case ast.Constant(value=str(text)):
            return FIELD.sub(HOLE, text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in parts)
    return None


def texts_of_code() -> list[tuple[int, re.Pattern[str]]]:
    """Letters and pattern of each text of the code."""
    nodes = (node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    texts = {text for node in nodes if isinstance(node, ast.expr) and (text := text_of(node))}
    return [(letters(text), re.compile(".*".join(map(re.escape, text.split(HOLE))), re.DOTALL)) for text in texts]


def letters(text: str) -> int:
    return sum(map(str.isalpha, FIELD.sub("", text)))


def is_written(template: str, written: list[tuple[int, re.Pattern[str]]]) -> bool:
    """Whether a text of the code matches a template in at least half of its letters."""
    template = template.removeprefix("{reason}")
    filled, least = FIELD.sub("7:7", template), letters(template) / 2
    return any(count >= max(least, 3) and pattern.fullmatch(filled) for count, pattern in written)


def stating_nodes(path: Path) -> list[ast.AST]:
    """Yield the nodes of a module, without docstrings and the arguments of calls whose texts are not stated."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    silent = [node.value for node in nodes if isinstance(node, ast.Expr)]  # documentation
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in NOT_STATED]
    silent += [text for call in calls for text in (*call.args, *(keyword.value for keyword in call.keywords))]
    return [node for node in nodes if node not in silent]


def shown_texts(path: Path) -> Iterator[tuple[str, Part]]:
    """Texts of a module that reports state: sentences, why colors are unusable, names of facts, and captions."""
    for node in stating_nodes(path):
        match node:
            case ast.Call(func=ast.Name(id="Unusable"), args=[why]):
                listed = [(why, Part.SENTENCE)]
            case ast.Call(func=ast.Name(id="Fact"), args=[name, _]):
                listed = [(name, Part.NAME)]
            case ast.Call(func=ast.Name(id="PictureScale"), args=[_, *texts]):
                listed = [(text, Part.PICTURE) for text in texts]
            case ast.expr() if re.fullmatch(r"[A-Z].* .*\.", text_of(node) or "", re.DOTALL):
                listed = [(node, Part.SENTENCE)]
            case _:
                continue
        for expression, part in listed:
            text = text_of(expression)
            if text and letters(text.replace(HOLE, "")) > 2:
                yield text, part


def check_texts(path: Path) -> Iterator[tuple[str, Part]]:
    """Return the sentences of a module that the check of a bundle or log can state."""
    for node in stating_nodes(path):
        match node:
            case ast.FunctionDef(name="_refusal_reason"):
                returned = (part.value for part in ast.walk(node) if isinstance(part, ast.Return))
                yield from ((text, Part.ODDITY) for value in returned if value and (text := text_of(value)))
            case ast.expr():
                text = text_of(node)
                if text and re.fullmatch(rf"[A-Z{HOLE}].* .*\.", text) and letters(text) > 2:
                    yield text, Part.CHECK


def fits(text: str, part: Part, stated: set[tuple[str, Part]], fillings_of_a_hole: tuple[str, ...] = FILLINGS) -> bool:
    """Whether a text of the code has a template, filled in with something, or as files made it be stated."""
    first, *rest = text.split(HOLE)
    templates = translation._templates()[part]
    for fillings in product(fillings_of_a_hole, repeat=len(rest)):
        if templates.match(first + "".join(map("".join, zip(fillings, rest, strict=True)))):
            return True
    pattern = re.compile(".*".join(map(re.escape, (first, *rest))), re.DOTALL)
    return any(of is part and pattern.fullmatch(filled) for filled, of in stated)


def test_what_the_modules_write_has_templates(everything):
    folders = ("media", "analysis", "forensics", "scoring")
    texts = {text for folder in folders for path in (PACKAGE / folder).rglob("*.py") for text in shown_texts(path)}
    assert len(texts) > 130
    missing = {text.replace(HOLE, "{}") for text, part in texts if not fits(text, part, everything.texts)}
    assert missing == NOT_IN_REPORTS


def test_what_the_check_of_a_bundle_and_of_the_log_writes_has_templates(everything):
    paths = [PACKAGE / "cases" / "audit_verify.py"]
    paths += [path for path in (PACKAGE / "bundle").glob("*.py") if path.name not in NOT_OF_THE_CHECK]
    texts = {text for path in paths for text in check_texts(path)}
    assert len(texts) > 50
    missing = {text for text, part in texts if not fits(text, part, everything.texts, MEMBERS)}
    assert {text.replace(HOLE, "{}") for text in missing} == set()


def test_a_template_has_at_most_one_field_without_bounds():
    for key in TEMPLATES:
        fields = [name for name in FIELD.findall(ENGLISH[key]) if translation._FIELDS.get(name[1:-1])]
        unbounded = [name for name in fields if translation._FIELDS[name[1:-1]].pattern == translation._ANY]
        assert len(unbounded) <= 1, key


def test_documents_and_the_app_name_the_lenses_alike():
    for lens in FILE_LENSES:
        assert translated(lens.title, "de", Part.LENS) == translator("de")(lens.title)
