import json

import pytest

from faceloupe.forensics import registry
from faceloupe.forensics.registry import LENSES
from tests.cli.test_main import run
from tests.conftest import GENERATED
from tests.forensics import files
from tests.forensics.signed import TRAINED, Authority

NASTY = '<script>alert(1)</script>=HYPERLINK("http://x")'


@pytest.fixture
def claimed(tmp_path):
    path = tmp_path / "claimed.png"
    path.write_bytes(files.png_text({"parameters": f"{NASTY}\nSteps: 20, Sampler: Euler a, Seed: 42"}))
    return path


def test_json_is_one_document_with_the_fields_of_the_contract(capsys, claimed):
    code, out, err = run(capsys, "lenses", claimed, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["provenance"] == "none"
    assert document["generator"] == "a Stable Diffusion web UI"
    assert [lens["id"] for lens in document["lenses"]] == [lens.id for lens in LENSES if lens.formats != {"JPEG"}]
    finding = next(finding for finding in document["findings"] if finding["id"].startswith("traces."))
    assert finding["id"] == "traces.stable-diffusion-web-ui"
    assert finding["severity"] == "warning"
    assert finding["text"].startswith("The file claims ")


def test_the_table_says_what_each_lens_shows_and_does_not(capsys, claimed):
    code, out, err = run(capsys, "lenses", claimed)
    assert (code, err) == (0, "")
    assert "Generator   a Stable Diffusion web UI" in out
    assert all(lens.shows in out and lens.does_not_show in out for lens in LENSES if lens.formats != {"JPEG"})


def test_out_holds_the_same_json_and_is_never_overwritten(capsys, claimed, tmp_path, monkeypatch):
    printed = run(capsys, "lenses", claimed, "--json", "--out", tmp_path / "out")[1]
    pictures = [picture["name"] for lens in json.loads(printed)["lenses"] for picture in lens["pictures"]]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"lenses.json", *(f"lens-{name}.png" for name in pictures)}
    assert pictures == ["error-level", "spectrum", "noise"]
    assert (tmp_path / "out" / "lenses.json").read_text(encoding="utf-8") == printed
    with monkeypatch.context() as idle:
        idle.setattr(registry, "examine", None)  # it is refused before the work
        code, out, err = run(capsys, "lenses", claimed, "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "not overwritten" in err
    (tmp_path / "out" / "lenses.json").unlink()  # the pictures are met after the work, which is not lost
    code, out, err = run(capsys, "lenses", claimed, "--json", "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, printed, 1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b"plain text, whatever its name says", "not an image or a video"),
        (b"PK\x03\x04" + bytes(40), "The file is a ZIP archive"),
    ],
    ids=["empty", "text", "ZIP"],
)
def test_a_file_that_no_lens_can_read_is_reported_in_one_sentence(capsys, tmp_path, content, sentence):
    path = tmp_path / "file.jpg"
    path.write_bytes(content)
    code, out, err = run(capsys, "lenses", path, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_wrong_use_is_reported_in_one_sentence(capsys, tmp_path):
    for arguments in (
        ("nosuch.jpg",),
        (tmp_path,),
        (GENERATED, "--trust-list", GENERATED),
        (GENERATED, "--frames", "3"),
    ):
        code, out, err = run(capsys, "lenses", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_trust_list_and_a_sidecar_are_used(capsys, tmp_path):
    authority = Authority.make()
    away, manifest = authority.sign(
        files.saved("JPEG"), "image/jpeg", agent="DALL·E", source_type=TRAINED, address="http://127.0.0.1:9/m.c2pa"
    )
    (tmp_path / "picture.jpg").write_bytes(away)
    (tmp_path / "own.pem").write_bytes(authority.root)
    command = ("lenses", tmp_path / "picture.jpg", "--json")
    assert json.loads(run(capsys, *command)[1])["provenance"] == "remote"
    (tmp_path / "picture.c2pa").write_bytes(manifest)
    assert json.loads(run(capsys, *command)[1])["provenance"] == "untrusted"
    document = json.loads(run(capsys, *command, "--trust-list", tmp_path / "own.pem")[1])
    assert (document["provenance"], document["generator"]) == ("trusted", "OpenAI (DALL-E, GPT-4o)")
