"""The page Lenses, driven as a user would."""

import pytest

from faceloupe.forensics.registry import LENSES
from faceloupe.media.evidence_file import evidence_from_bytes
from faceloupe.ui import resources, state
from tests.conftest import GENERATED, PHOTOGRAPH
from tests.forensics import files
from tests.forensics.signed import TRAINED, Authority
from tests.pages.record import blind_case_with, create, go
from tests.pages.test_pages import page_text

NASTY = "<b>x</b> [link](http://x) | `y` :red[z]"


def looked(app, content: bytes, name: str):
    go(app, "lenses").file_uploader(key="lens_upload").upload(name, content, "application/octet-stream").run()
    assert not app.exception
    return app


def shown(app) -> str:
    return "\n".join([page_text(app), *(element.value for element in app.warning)])


def test_each_lens_says_what_it_shows_and_does_not_with_its_pictures(app):
    text = shown(looked(app, GENERATED.read_bytes(), "a.jpg")).replace("\\", "")
    assert all(f"Shows: {lens.shows}  \nDoes not show: {lens.does_not_show}" in text for lens in LENSES)
    assert "**Content Credentials** none" in text
    assert len(app.get("image")) == 8  # four lenses with a picture, each beside the original


def test_pictures_are_laid_over_the_picture_and_enlarged_alike_with_the_values_of_the_part(app):
    looked(app, GENERATED.read_bytes(), "a.jpg")
    whole = [caption.value for caption in app.caption if caption.value.startswith("In this part")]
    assert len(whole) == 3  # not of the spectrum, which has no places
    app.slider(key="lens-zoom").set_value(4.0).run()
    app.segmented_control(key="lens-mode").set_value("Overlay").run()
    assert not app.exception
    part = [caption.value for caption in app.caption if caption.value.startswith("In this part")]
    assert len(app.get("image")) == 5  # three alone, and the spectrum beside the picture
    for before, after in zip(whole, part, strict=True):
        assert before.split(";")[1] == after.split(";")[1]
        assert before.split(";")[0] != after.split(";")[0]


def test_a_signed_file_shows_the_state_of_its_credentials_and_the_rates_of_the_rule(app):
    signed, _ = Authority.make().sign(files.saved("JPEG"), "image/jpeg", agent="DALL·E", source_type=TRAINED)
    text = shown(looked(app, signed, "signed.jpg")).replace("\\", "")
    assert "**Content Credentials** intact, signer not on the trust list" in text
    assert "Rule `provenance.untrusted`: correct matches in 3 of 3 files, false matches in 0 of 1,007." in text


def test_findings_and_facts_are_in_the_language_of_the_app(app):
    app.session_state[state.APP_LANGUAGE] = "de"
    signed, _ = Authority.make().sign(GENERATED.read_bytes(), "image/jpeg", agent="DALL·E", source_type=TRAINED)
    text = shown(looked(app, signed, "signed.jpg")).replace("\\", "")
    for german in (
        "von einem generativen Modell erzeugt wurde (trainedAlgorithmicMedia).",
        "| Qualität | 90 von 100 (Standardtabellen) |",
        "| Mittlere Differenz |",
    ):
        assert german in text
    assert "The Content Credentials" not in text


def test_a_trace_is_named_and_text_of_the_file_is_never_markup(app):
    content = files.png_text({"parameters": f"{NASTY}\nSteps: 20, Sampler: Euler a, Seed: 42"})
    text = shown(looked(app, content, "trace.png"))
    assert "**Generator** a Stable Diffusion web UI" in text
    assert "Rule `traces.stable-diffusion-web-ui`" in text
    assert r"\<b\>x\</b\>" in text
    assert not any(piece in text for piece in ("<b>", "[link](", "| `y`", ":red[z]"))


def test_a_damaged_picture_keeps_what_could_be_read(app):
    text = shown(looked(app, GENERATED.read_bytes()[:-9000], "half.jpg")).replace("\\", "")
    assert "**Content Credentials** none" in text
    assert "Not complete: " in text


@pytest.mark.parametrize(("content", "sentence"), [(b"", "empty"), (b"plain text", "not an image or a video")])
def test_a_file_that_no_lens_can_read_is_reported_in_one_sentence(app, content, sentence):
    looked(app, content, "file.jpg")
    assert [sentence in element.value.replace("\\", "") for element in app.error] == [True]


def test_the_file_on_the_page_image_is_looked_at_without_a_second_upload(app):
    app.button(key="sample-generated-woman").click().run()
    go(app, "lenses").button(key="lens_image").click().run()
    assert not app.exception
    assert app.session_state[state.LENS_RESULT].evidence_sha256 == app.session_state[state.RESULT].evidence_sha256
    assert "**Content Credentials** none" in page_text(app)


def test_the_page_image_states_what_the_file_claims_and_scores_it_as_without_the_claim(app):
    content = GENERATED.read_bytes()
    marked = files.segment(
        0xE1, b"http://ns.adobe.com/xap/1.0/\0" + files.xmp({"xmp:CreatorTool": "Adobe Firefly"}), content
    )
    scores = []
    for name, picture in (("plain.jpg", content), ("marked.jpg", marked)):
        app.file_uploader(key="upload").upload(name, picture, "image/jpeg").run()
        assert not app.exception
        scores.append(resources.analyses().get(app.session_state[state.RESULT]).report.score)
        generator = "Adobe Firefly" if picture is marked else "none claimed"
        claims = f"Content Credentials none (unknown provenance), generator {generator}. This never"
        assert claims in page_text(app).replace("\\", "")
    assert scores[0] == scores[1]


def test_what_a_blind_case_withholds_is_not_shown(app):
    blind_case_with(PHOTOGRAPH)
    text = shown(looked(app, PHOTOGRAPH.read_bytes(), "p.png"))
    assert "blind case" in text
    assert "**Content Credentials**" not in text
    create(app, blind=True)
    assert not go(app, "lenses").file_uploader


def test_the_page_image_names_an_item_like_its_file_in_a_case_and_none_of_a_blind_case(app):
    blind_case_with(PHOTOGRAPH)
    store = resources.cases()
    case = store.create_case("Elsewhere", examiner="Bob")
    store.items.file(case.id, evidence_from_bytes(GENERATED.read_bytes(), "known.jpg", max_bytes=10**9), actor="Bob")
    app.file_uploader(key="upload").upload("mine.jpg", GENERATED.read_bytes(), "image/jpeg").run()
    assert not app.exception
    text = page_text(app).replace("\\", "")
    assert "An item like this was examined in case Elsewhere" in text
    assert "Sealed" not in text
