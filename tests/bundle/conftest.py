"""A small bundle of real runs, and the tools to alter one."""

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from faceloupe.analysis import pipeline
from faceloupe.bundle import format
from faceloupe.bundle.export import export_case
from faceloupe.bundle.format import Manifest, Member
from faceloupe.bundle.signing import public_pem, signing_key
from faceloupe.bundle.verify import verify
from faceloupe.cases.audit_log import canonical
from faceloupe.cases.store import CaseStore
from faceloupe.media.evidence_file import open_evidence
from faceloupe.report.build import build
from faceloupe.report.translation import Part, translated
from faceloupe.report.write import pictures_of
from tests.conftest import GENERATED, PHOTOGRAPH

Members = dict[str, bytes]


@dataclass(frozen=True)
class Made:
    """A bundle, and the store it is of."""

    store: CaseStore
    case_id: str
    path: Path
    content: bytes

    @property
    def members(self) -> Members:
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def signed(self, members: Mapping[str, bytes], key: Ed25519PrivateKey | None = None) -> Members:
        """The members with a key (that of the store), and the manifest and signature that its holder can make."""
        key = key or signing_key(self.store.folder)
        members = dict(members) | {format.PUBLIC_KEY: public_pem(key.public_key())}
        listed = sorted(set(members) - set(format.UNLISTED))
        manifest = replace(
            Manifest.from_bytes(members[format.MANIFEST]),
            members=tuple(
                Member(name, len(members[name]), hashlib.sha256(members[name]).hexdigest()) for name in listed
            ),
        ).to_bytes()
        return members | {format.MANIFEST: manifest, format.SIGNATURE: key.sign(manifest)}


def zipped(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """A ZIP of any members, in any order."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members:
            archive.writestr(name, content)
    return stream


def problems(stream: io.BytesIO, **options) -> list[str]:
    """The faults that the check of a bundle reports, one sentence each."""
    texts = [finding.text for finding in verify(stream, **options).findings if not finding.good]
    assert all("\n" not in text and text.endswith(".") for text in texts), texts
    assert not [text for text in texts if translated(text, "de", Part.CHECK) == text]  # each has a template
    return texts


def edited(members: Members, name: str, change) -> Members:
    """The members, one of them, which is JSON, changed."""
    values = json.loads(members[name])
    change(values)
    return members | {name: json.dumps(values, indent=2, ensure_ascii=False).encode()}


def edited_case(members: Members, change) -> Members:
    """The members, the case with its items changed; the reports of format 2 are members of their own."""
    if format.ITEMS not in members:
        return edited(members, format.CASE, change)
    case = json.loads(members[format.CASE])
    case["items"] = [json.loads(line) for line in members[format.ITEMS].splitlines()]
    change(case)
    lines = [f"{canonical(item)}\n".encode() for item in case.pop("items", [])]
    return members | {format.CASE: format.text(case), format.ITEMS: b"".join(lines)}


@pytest.fixture(scope="session")
def made_in_format_1(made) -> Made:
    """A bundle with two examined items and every kind of statement that version 0.5 wrote in format 1."""
    path = Path(__file__).with_name("format-1.zip")
    return replace(made, path=path, content=path.read_bytes())


@pytest.fixture(scope="session")
def made(tmp_path_factory, analyzer, settings) -> Made:
    folder = tmp_path_factory.mktemp("bundle")
    store = CaseStore(folder / "data")
    case = store.create_case("Doe v. Roe", examiner="Ann")
    for source in (GENERATED, PHOTOGRAPH):
        small = folder / source.with_suffix(".png").name
        Image.open(source).convert("RGB").resize((256, 256)).save(small)
        evidence_file = open_evidence(small, max_bytes=10**8)
        item = store.items.file(case.id, evidence_file, actor="Clerk")
        analysis = pipeline.analyze(evidence_file, analyzer)
        store.runs.add(case.id, item.sha256, build(analysis), pictures_of(analysis), actor="Clerk")
    store.reviews.add_note(case.id, "Looks <b>odd</b>", author="Ann", sha256=item.sha256)
    store.reviews.add_note(case.id, "A first look", author="Ann")
    store.reviews.decide(case.id, item.sha256, outcome="authentic", reason="Seen", confidence="low", examiner="Ann")
    store.reviews.sign_off(case.id, reviewer="Bob", sha256=item.sha256)
    store.reviews.sign_off(case.id, reviewer="Cleo", open_reason="The other one is not in question.")
    export_case(store, case.id, folder / "bundle.zip", actor="Ann", with_evidence=True)
    return Made(store, case.id, folder / "bundle.zip", (folder / "bundle.zip").read_bytes())
