import csv
import random

import pytest

from faceloupe.forensics import traces
from tests.forensics import files
from tests.forensics.conftest import source
from tests.forensics.files import CONTAINERS, saved
from tests.forensics.signed import TRAINED

EXAMPLES = [
    pytest.param(rule, position, make, id=f"{rule.id}-{position}-{name}")
    for rule in traces.rules()
    for position in rule.places
    if position != traces.CREDENTIALS
    for name, make in CONTAINERS[position].items()
]
SIGNED = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}


def fired(content: bytes) -> set[str]:
    return {trace.rule.id for trace in traces.traces(source(content))}


@pytest.mark.parametrize(("rule", "position", "make"), EXAMPLES)
def test_a_rule_fires_in_every_container_that_carries_it(rule, position, make):
    assert rule.id in fired(make(rule.examples[position]))


@pytest.mark.parametrize(
    "rule", [rule for rule in traces.rules() if traces.CREDENTIALS in rule.places], ids=lambda r: r.id
)
@pytest.mark.parametrize("media_type", SIGNED)
def test_a_rule_fires_on_content_credentials(rule, media_type, authority):
    agent = rule.examples[traces.CREDENTIALS]["softwareAgent"]
    content, _ = authority.sign(saved(SIGNED[media_type]), media_type, agent=agent, source_type=TRAINED)
    assert rule.id in fired(content)
    assert traces.generator(source(content)) == rule.name


@pytest.mark.parametrize("rule", traces.rules(), ids=lambda rule: rule.id)
def test_no_rule_fires_on_the_example_of_another_program(rule):
    others = {"ffmpeg", "x264", rule.id}  # the encoders that make the videos; and Fooocus writes like a web UI
    for field, statements in rule.examples.items():
        if field != traces.CREDENTIALS:
            make = next(iter(CONTAINERS[field].values()))
            assert fired(make(statements)) <= others


def test_prompt_model_and_seed_are_quoted_where_they_stand():
    rule = next(rule for rule in traces.rules() if rule.id == "stable-diffusion-web-ui")
    result = traces.examine(source(files.png_text(rule.examples["PNG text"])))
    facts = {fact.name: fact.value for fact in result.facts}
    assert facts["a Stable Diffusion web UI, prompt"] == "portrait of a woman"
    assert facts["a Stable Diffusion web UI, negative prompt"] == "blurry"
    assert facts["a Stable Diffusion web UI, model"] == "v1-5-pruned"
    assert facts["a Stable Diffusion web UI, seed"] == "42"
    (finding,) = result.findings
    assert finding.text.startswith("The file claims ")


@pytest.mark.parametrize(
    "content",
    [
        saved("JPEG") + b"parameters\0Steps: 20, Sampler: Euler a",
        saved("JPEG")
        + files.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + files.xmp({"xmp:CreatorTool": "Adobe Firefly"})),
        saved("PNG") + files.png_text({"parameters": "x\nSteps: 20, Sampler: Euler a"}),
        files.png_text({"Comment": "parameters Steps: 20, Sampler: Euler a, Software NovelAI"}),
        files.segment(0xE9, files.xmp({"photoshop:Credit": "Made with Google AI"})),
    ],
    ids=["behind a JPEG", "a JPEG behind a JPEG", "a PNG behind a PNG", "another key", "an unknown segment"],
)
def test_a_marker_outside_of_its_structure_does_not_count(content):
    assert fired(content) == set()


def test_a_digital_source_type_without_a_name_is_an_unnamed_generator():
    packet = files.xmp(
        {"Iptc4xmpExt:DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"}
    )
    assert traces.generator(source(saved("JPEG", xmp=packet))) == traces.UNNAMED
    assert traces.generator(source(saved("JPEG"))) is None


def test_a_prompt_of_a_megabyte_is_matched_whole_and_quoted_short():
    prompt = "a very long prompt, " * 52_429
    result = traces.examine(source(files.png_text({"parameters": f"{prompt}\nSteps: 20, Sampler: Euler a, Seed: 42"})))
    assert [finding.id for finding in result.findings] == ["traces.stable-diffusion-web-ui"]
    assert max(len(fact.value) for fact in result.facts) < 700
    assert "a Stable Diffusion web UI, seed" in {fact.name for fact in result.facts}


@pytest.mark.parametrize("text", ["日本語の肖像", "Портрет", "👩‍🎨 portrait", "\u202egnp.exe"], ids=ascii)
@pytest.mark.parametrize("position", ["iTXt", "EXIF"])
def test_prompts_in_every_script_are_quoted_and_direction_marks_are_not(text, position):
    value = f"{text}\nSteps: 20, Sampler: Euler a"
    content = (
        files.png_text({"parameters": value}, international=True)
        if position == "iTXt"
        else saved("JPEG", exif=files.exif({"UserComment": value}))
    )
    facts = {fact.name: fact.value for fact in traces.examine(source(content)).facts}
    quoted = facts["a Stable Diffusion web UI, prompt"]
    assert quoted == "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _suspect(content: bytes) -> set[str]:
    """Rules that fire and say more than which program a photograph was processed with."""
    return {trace.rule.id for trace in traces.traces(source(content)) if trace.rule.kind not in ("editor", "developer")}


@pytest.mark.parametrize(
    ("software", "expected"),
    [
        ("Adobe Photoshop CS6 (Windows)", {"photoshop"}),
        ("Adobe Photoshop Elements 15.0 (Windows)", {"photoshop"}),
        ("Adobe Photoshop Lightroom 5.3 (Macintosh)", {"lightroom"}),
        ("Adobe Lightroom 8.2 (Windows)", {"lightroom"}),
        ("Adobe Photoshop Camera Raw 9.1 (Macintosh)", {"camera-raw"}),
        ("Adobe Photoshopped", set()),
        ("Not Adobe Photoshop 25.4", set()),
        ("Ver.1.00", set()),
    ],
)
def test_programs_that_photographs_are_processed_with_are_distinguished(software, expected):
    content = saved("JPEG", exif=files.exif({"Software": software}))
    assert fired(content) == expected
    findings = traces.examine(source(content)).findings
    assert [finding.severity.value for finding in findings] == [
        "notice" if rule == "photoshop" else "info" for rule in expected
    ]
    assert traces.generator(source(content)) is None


@pytest.mark.shared
def test_no_rule_of_a_generator_fires_on_the_photographs_of_the_formats(shared_data):
    names = (
        "IMG_0003.jpg",
        "P1000827.jpg",
        "TUSCANY.TIF",
        "sample1.heic",
        "sample1.avif",
        "sample1.gif",
        "test_xmp.webp",
    )
    for name in names:
        assert _suspect((shared_data / "formats" / name).read_bytes()) == set(), name


@pytest.mark.shared
def test_no_rule_of_a_generator_fires_on_stills(shared_data):
    with (shared_data / "stills.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in random.Random(1).sample(rows, 60):  # `tools.lens_rates` goes through a thousand
        assert _suspect((shared_data / row["path"]).read_bytes()) == set(), row["path"]
