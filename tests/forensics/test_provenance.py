import io
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import c2pa
import pytest

from faceloupe.errors import UsageError
from faceloupe.forensics import provenance, traces
from faceloupe.forensics.trust import TrustList
from faceloupe.installation import ROOT
from faceloupe.media import credentials
from tests.forensics.conftest import source
from tests.forensics.files import saved, video
from tests.forensics.signed import TRAINED

FORMATS = {"C.jpg": "untrusted", "CA.jpg": "untrusted", "E-sig-CA.jpg": "tampered", "XCA.jpg": "tampered"}
WITHOUT = (
    "IMG_0003.jpg",
    "P1000827.jpg",
    "TUSCANY.TIF",
    "libpng-test.png",
    "sample1.avif",
    "sample1.gif",
    "sample1.heic",
)


# Started in one folder, used in another.
IN_A_REMOVED_FOLDER = """
import os, shutil, sys
from pathlib import Path
from tests.forensics.conftest import source
os.chdir(sys.argv[1])
content = Path(sys.argv[2]).read_bytes()
source(content).metadata  # starts the process that forks the decoders
os.chdir("/")
shutil.rmtree(sys.argv[1])
print(source(content).credentials.state)
"""


@pytest.fixture
def listener():
    """A server on the loopback address; the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/manifest.c2pa", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.shared
@pytest.mark.parametrize(("name", "state"), [*FORMATS.items(), *dict.fromkeys(WITHOUT, "none").items()])
def test_the_states_of_public_files_are_distinguished(name, state, shared_data):
    assert source((shared_data / "formats" / name).read_bytes()).credentials.state == state


@pytest.mark.parametrize(
    ("media_type", "content"),
    [("image/jpeg", saved("JPEG")), ("image/png", saved("PNG")), ("image/webp", saved("WEBP")), ("video/mp4", video())],
    ids=["JPEG", "PNG", "WebP", "MP4"],
)
def test_a_signer_counts_as_trusted_only_by_the_list_that_names_its_authority(
    media_type, content, authority, authority_list
):
    signed, _ = authority.sign(content, media_type, source_type=TRAINED)
    assert source(signed, trust_list=authority_list).credentials.state == "trusted"
    assert source(signed).credentials.state == "untrusted"


def test_one_changed_pixel_is_tampering(authority, authority_list):
    signed, _ = authority.sign(saved("PNG"), "image/png", source_type=TRAINED)
    at = signed.rfind(b"IDAT") + 30
    changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
    result = source(changed, trust_list=authority_list)
    assert result.credentials.state == "tampered"
    assert provenance.examine(result).findings[0].severity == "warning"
    assert traces.generator(result) is None  # what it states counts for nothing


def test_a_sidecar_is_read_and_belongs_to_one_file_only(authority, authority_list):
    content = saved("JPEG")
    away, manifest = authority.sign(content, "image/jpeg", source_type=TRAINED, address="http://127.0.0.1:9/m.c2pa")
    assert source(away, trust_list=authority_list, sidecar=manifest).credentials.state == "trusted"
    assert (
        source(saved("JPEG", quality=50), trust_list=authority_list, sidecar=manifest).credentials.state == "tampered"
    )


def test_credentials_are_read_although_the_folder_of_the_start_is_gone(authority, tmp_path):
    content, _ = authority.sign(saved("JPEG"), "image/jpeg", source_type=TRAINED)
    (tmp_path / "signed.jpg").write_bytes(content)
    (tmp_path / "gone").mkdir()
    command = [sys.executable, "-c", IN_A_REMOVED_FOLDER, tmp_path / "gone", tmp_path / "signed.jpg"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT)))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "untrusted", done.stderr


def test_an_unknown_signer_is_never_called_genuine(authority):
    signed, _ = authority.sign(saved("JPEG"), "image/jpeg", source_type=TRAINED)
    result = provenance.examine(source(signed))
    texts = " ".join(finding.text for finding in result.findings)
    assert "not on the trust list" in texts
    assert not {"genuine", "authentic", "verified"} & set(texts.lower().split())
    assert [finding.id for finding in result.findings] == ["provenance.untrusted", "provenance.trainedAlgorithmicMedia"]


def test_a_manifest_elsewhere_is_named_and_never_fetched(authority, listener, tmp_path):
    address, asked = listener
    away, _ = authority.sign(saved("JPEG"), "image/jpeg", source_type=TRAINED, address=address)
    (tmp_path / "away.jpg").write_bytes(away)
    with (tmp_path / "away.jpg").open("rb") as file:  # without the sandbox, which has no network
        in_this_process = credentials.read(file, "JPEG", anchors=authority.root.decode())
    assert (in_this_process.state, in_this_process.address) == ("remote", address)
    result = provenance.examine(source(away))
    assert result.findings[0].text.endswith(address)
    assert asked == []


def test_the_listener_would_see_a_library_with_its_own_settings(authority, listener):
    address, asked = listener
    away, _ = authority.sign(saved("JPEG"), "image/jpeg", source_type=TRAINED, address=address)
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(away), context=c2pa.Context.from_dict({}))
    assert asked == ["/manifest.c2pa"]


def test_a_text_behind_a_picture_is_not_a_manifest(authority):
    signed, manifest = authority.sign(saved("JPEG"), "image/jpeg", source_type=TRAINED)
    assert source(saved("JPEG") + manifest).credentials.state == "none"
    assert source(saved("JPEG") + signed).credentials.state == "none"


def test_the_bundled_trust_list_is_the_published_one():
    bundled = TrustList.bundled()
    assert (bundled.certificates, bundled.sha256[:16]) == (30, "75cacc98b79ecac3")


@pytest.mark.parametrize(
    "content", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_certificates_is_not_a_trust_list(content, tmp_path):
    path = tmp_path / "list.pem"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"list\.pem is not a list of certificates"):
        TrustList.named(path)
