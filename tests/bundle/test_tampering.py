"""Every change of a bundle is detected and reported in one sentence."""

import copy
import io
import json
import random
import stat
import zipfile
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from faceloupe.bundle import format
from faceloupe.bundle.format import Manifest, Member
from faceloupe.bundle.signing import fingerprint, public_pem, signing_key
from faceloupe.bundle.verify import verify
from faceloupe.errors import BundleError, UsageError
from tests.bundle.conftest import edited, edited_case, problems, zipped


@pytest.fixture(params=["format 1", "format 2"])
def of_either_format(request, made, made_in_format_1):
    """A bundle of each format that is read."""
    return made if request.param == "format 2" else made_in_format_1


EITHER = {format.MANIFEST, format.SIGNATURE, format.PUBLIC_KEY}  # which of them was altered cannot be told


def spans(content: bytes) -> dict[str, range]:
    """Where the bytes of each member lie in the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        places = {}
        for info in archive.infolist():
            header = content[info.header_offset : info.header_offset + 30]
            start = info.header_offset + 30 + int.from_bytes(header[26:28], "little")
            start += int.from_bytes(header[28:30], "little")
            places[info.filename] = range(start, start + info.file_size)
    return places


def changed(content: bytes, position: int, by: int) -> bytes:
    return content[:position] + bytes([content[position] ^ by]) + content[position + 1 :]


def test_a_bundle_as_it_was_made_is_good(made):
    assert problems(io.BytesIO(made.content)) == []
    assert problems(zipped(made.members.items())) == []
    assert problems(zipped(made.signed(made.members).items())) == []
    assert {name.partition("/")[0] for name in made.members} == {
        *(format.CASE, format.ITEMS, format.LOG, format.TABLE, format.PAGE, format.DOCUMENT),
        *EITHER,
        *("reports", "pictures", "evidence"),
    }


def test_a_bundle_of_format_1_is_good_as_it_was_made_and_under_another_key(made_in_format_1):
    assert problems(io.BytesIO(made_in_format_1.content)) == []
    members = made_in_format_1.members
    assert json.loads(members[format.MANIFEST])["format"] == "1"
    assert problems(zipped(made_in_format_1.signed(members).items())) == []


def test_a_bundle_of_format_1_has_no_members_of_format_2(made, made_in_format_1):
    members = made_in_format_1.members | {format.ITEMS: made.members[format.ITEMS]}
    assert problems(zipped(made_in_format_1.signed(members).items())) == [
        "items.jsonl does not belong in a bundle of format 1."
    ]


def test_1000_random_changes_of_a_byte_of_the_file_are_found_and_the_member_is_named(made):
    chance, places = random.Random(1), spans(made.content)
    assert "".join(made.content[position.start : position.stop].hex() for position in places.values()) == "".join(
        content.hex() for content in made.members.values()
    )
    for name in chance.choices(sorted(places), k=1000):
        content = changed(made.content, chance.choice(places[name]), chance.randrange(1, 256))
        assert any(name in text for text in problems(io.BytesIO(content))), name


def test_1000_random_changes_under_a_new_checksum_are_found_and_the_member_is_named(made):
    chance, members = random.Random(2), made.members
    for name in chance.choices(sorted(members), k=1000):
        content = changed(members[name], chance.randrange(len(members[name])), chance.randrange(1, 256))
        texts = problems(zipped((members | {name: content}).items()))
        assert any(name in text for text in texts), name
        assert name in EITHER or not any(other in texts[0] for other in set(members) - {name, format.MANIFEST})


def test_100_random_changes_of_the_log_by_the_holder_of_the_key_are_found(made):
    chance, members = random.Random(3), made.members
    log = members[format.LOG]
    for _ in range(100):
        content = changed(log, chance.randrange(len(log)), chance.randrange(1, 256))
        texts = problems(zipped(made.signed(members | {format.LOG: content}).items()))
        assert any(format.LOG in text for text in texts)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999])
def test_a_bundle_cut_short_is_damaged(made, share):
    (text,) = problems(io.BytesIO(made.content[: int(len(made.content) * share)]))
    assert "damaged or cut short" in text


@pytest.mark.parametrize("content", [b"", b"not a ZIP at all", b"\x89PNG\r\n\x1a\n" * 100])
def test_what_is_no_zip_is_bad_usage(content):
    with pytest.raises(UsageError, match="not a ZIP file"):
        verify(io.BytesIO(content))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "C:\\evil",
        "C:evil",
        "pictures\\a.png",
        "evidence/../case.json",
        "sub/",
        "case.json/x",
        "CASE.JSON",
        "notes.txt",
        "case.json ",
        "ca\u017fe.json",
        "reports/0123456789ab.json\n",
        "./case.json",
    ],
)
def test_a_name_that_no_bundle_has_is_refused(made, name):
    (text,) = problems(zipped([*made.members.items(), (name, b"content")]))
    assert "no bundle uses" in text


@pytest.mark.parametrize("name", ["pictures/", "reports/"])
def test_a_bundle_that_was_packed_again_with_folders_says_so(made, name):
    (text,) = problems(zipped([(name, b""), *made.members.items()]))
    assert text.endswith("is a folder; a bundle has none, so this ZIP was packed again.")


def test_a_member_that_comes_twice_is_refused(made):
    (text,) = problems(zipped([*made.members.items(), (format.CASE, b"{}")]))
    assert text == "The ZIP has a member 'case.json' that occurs twice."


def test_a_link_is_refused(made):
    link = zipfile.ZipInfo(format.evidence_name("0" * 64))
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (text,) = problems(zipped([*made.members.items(), (link, b"/etc/passwd")]))
    assert "link" in text


def test_a_bomb_is_refused_before_it_is_read(made):
    members = made.members | {format.evidence_name("0" * 64): bytes(50_000_000)}
    stream = zipped(members.items(), zipfile.ZIP_DEFLATED)
    assert len(stream.getvalue()) < len(made.content)
    (text,) = problems(stream)
    assert "compressed" in text


def test_members_that_share_their_bytes_are_refused(made):
    stream = zipped(made.members.items())
    with zipfile.ZipFile(stream) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    with zipfile.ZipFile(stream, "a") as archive:
        for number in range(20):
            twin = copy.copy(largest)
            twin.filename = twin.orig_filename = format.evidence_name(f"{number:064x}")
            archive.filelist.append(twin)
        archive._didModify = True  # so that the list is written anew
    (text,) = problems(stream)
    assert "larger than the ZIP" in text


def test_an_encrypted_member_is_refused(made):
    content = bytearray(made.content)
    offset = content.rfind(b"PK\x01\x02")
    content[offset + 8] |= 1
    (text,) = problems(io.BytesIO(content))
    assert "encrypted" in text


def test_an_unsigned_bundle_is_reported_as_such(made):
    members = made.members
    del members[format.SIGNATURE]
    assert problems(zipped(members.items())) == ["The bundle is not signed: manifest.sig is missing."]


def test_another_key_is_told_by_the_one_that_was_published(made):
    other = Ed25519PrivateKey.generate()
    forged = zipped(made.signed(made.members, other).items())
    own = signing_key(made.store.folder).public_key()
    assert problems(forged) == []
    (text,) = problems(forged, key=public_pem(own))
    assert "not by the given key" in text
    assert fingerprint(own) in text
    assert problems(io.BytesIO(made.content), key=public_pem(own)) == []
    with pytest.raises(BundleError, match="not an Ed25519 public key"):
        verify(io.BytesIO(made.content), key=b"no key")


def test_an_added_and_a_removed_member_are_named(made):
    members, stray = made.members, format.picture_name("0" * 64)
    added = members | {stray: b"content"}
    assert problems(zipped(added.items())) == [f"{stray} is not listed in manifest.json."]
    assert problems(zipped(made.signed(added).items())) == [f"{stray} belongs to no run of the case."]
    for name in members:
        rest = {other: content for other, content in members.items() if other != name}
        assert any(name in text for text in problems(zipped(rest.items()))), name
        if name not in (*EITHER, format.PAGE, format.DOCUMENT):
            assert any(name in text for text in problems(zipped(made.signed(rest).items()))), name


def test_a_name_that_the_manifest_lists_adds_no_line_to_what_was_found(made):
    manifest = Manifest.from_bytes(made.members[format.MANIFEST])
    listed = (*manifest.members, Member("x is missing.\npassed  y\u202e", 0, "0" * 64))
    content = replace(manifest, members=tuple(sorted(listed, key=lambda member: member.name))).to_bytes()
    signature = signing_key(made.store.folder).sign(content)
    members = made.members | {format.MANIFEST: content, format.SIGNATURE: signature}
    assert problems(zipped(members.items())) == ["x is missing.\ufffdpassed  y\ufffd is missing."]


def test_an_entry_cut_from_the_end_of_the_log_is_missed_even_under_a_new_signature(made):
    lines = made.members[format.LOG].splitlines(keepends=True)
    members = made.members | {format.LOG: b"".join(lines[:-1])}
    assert any(format.LOG in text for text in problems(zipped(members.items())))
    texts = problems(zipped(made.signed(members).items()))
    assert f"log.jsonl: Entry {len(lines)} is missing: the chain had {len(lines)} or more." in texts


def test_exchanged_evidence_is_found_even_under_a_new_signature(made):
    members = made.members
    first, other = (name for name in members if name.startswith("evidence/"))
    members[first], members[other] = members[other], members[first]
    assert len(problems(zipped(members.items()))) == 2
    texts = problems(zipped(made.signed(members).items()))
    assert [text.partition(" ")[0] for text in texts] == sorted((first, other))


def replace_report(case):
    case["items"][0]["runs"][0]["report_sha256"] = case["items"][1]["runs"][0]["report_sha256"]


def replace_decision(case):
    case["items"][1]["decisions"][0]["outcome"] = "manipulated"


def rename_item(case):
    case["items"][0]["name"] = "other.jpg"


def drop_note(case):
    case["notes"].clear()


def add_signature(case):
    case["sign_offs"].append({"utc": "2026-01-01T00:00:00.000000Z", "reviewer": "Mallory"})


def drop_run(case):
    case["items"][0]["runs"].clear()


def drop_item(case):
    case["items"].pop()


def replace_picture(case):
    pictures = case["items"][0]["runs"][0]["pictures"]
    pictures[next(iter(pictures))] = "0" * 64


@pytest.mark.parametrize(
    "change",
    [
        replace_report,
        rename_item,
        replace_decision,
        drop_note,
        add_signature,
        drop_run,
        drop_item,
        replace_picture,
        dict.clear,
    ],
    ids=lambda change: change.__name__,
)
def test_a_case_that_the_log_does_not_bear_out_is_found_even_under_a_new_signature(of_either_format, change):
    members = edited_case(of_either_format.members, change)
    texts = problems(zipped(of_either_format.signed(members).items()))
    assert any(format.CASE in text or format.ITEMS in text for text in texts)


def replace_score(case):
    case["items"][0]["runs"][0]["report"]["score"] = 0.5


def edit_log(case):
    case["log"]["entries"][1]["actor"] = "Mallory"


@pytest.mark.parametrize("change", [replace_score, edit_log])
def test_what_format_1_states_twice_must_be_the_same(made_in_format_1, change):
    members = edited(made_in_format_1.members, format.CASE, change)
    (text,) = problems(zipped(made_in_format_1.signed(members).items()))
    assert format.CASE in text


def test_a_replaced_report_is_found_even_under_a_new_signature(of_either_format):
    members = of_either_format.members
    first, second = (name for name in members if name.startswith("reports/"))
    swapped = members | {first: members[second]}
    texts = problems(zipped(of_either_format.signed(swapped).items()))
    assert any(f"{first} is not the report" in text for text in texts)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "3"}',
        b'{"format": "2"}',
        b'{"format": "1", "members": 3}',
    ],
    ids=range(9),
)
def test_a_manifest_of_any_form_is_refused_in_words(made, content):
    signature = signing_key(made.store.folder).sign(content)
    (text,) = problems(zipped((made.members | {format.MANIFEST: content, format.SIGNATURE: signature}).items()))
    assert format.MANIFEST in text


@pytest.mark.parametrize("name", [format.CASE, format.ITEMS, format.LOG])
@pytest.mark.parametrize(
    "content", [b"[]", b'{"case": 1}', b"null", b"[" * 100_000, json.dumps({"items": [1]}).encode()]
)
def test_documents_of_any_form_are_refused_in_words(made, name, content):
    assert problems(zipped(made.signed(made.members | {name: content}).items()))
