"""Content Credentials (C2PA) of a file, checked without network access.

The library uses the network by default, and ignores unknown settings. A test with a listener checks the settings below.
The library also runs in the decoder process, which has no network.
"""

import io
import json
import mmap
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

# Settings of c2pa-rs 0.91: nothing is fetched, whatever a manifest points to.
OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "core": {"allowed_network_hosts": []},
}
TYPES = {  # format -> media type in the library
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WebP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
    "MP4": "video/mp4",
    "QuickTime": "video/quicktime",
    "AVI": "video/x-msvideo",
}
_TAMPERED = {  # C2PA specification 2.1, 15.2: the file differs from the signed content
    "claimSignature.mismatch",
    "assertion.dataHash.mismatch",
    "assertion.bmffHash.mismatch",
    "assertion.boxesHash.mismatch",
    "assertion.collectionHash.mismatch",
    "assertion.hashedURI.mismatch",
}
UNLISTED = "signingCredential.untrusted"  # code of a signer that is not on the list
_MOST = 200  # actions, ingredients and failures that are listed
_LONGEST = 2000  # characters of one text


class Action(msgspec.Struct, frozen=True):
    """One step in the making of a file, as its manifest states it.

    Attributes:
        name: name of the step, such as ``c2pa.created``.
        source_type: last part of its IPTC digital source type; empty if none is stated.
        agent: software that performed the step; empty if none is stated.
    """

    name: str
    source_type: str = ""
    agent: str = ""


class Credentials(msgspec.Struct, frozen=True):
    """Statements of the Content Credentials of a file, and whether they are valid.

    Attributes:
        state: ``none``; ``trusted`` (intact, and the signer is on the list); ``untrusted`` (intact, but the signer is
            not on the list); ``tampered`` (the content or the claim differs from the signed one); ``invalid`` (broken
            in another way); or ``remote`` (the file only points to credentials elsewhere, which are never fetched).
        signer: organization and name in the signing certificate; empty if there is none.
        signed: time of the signature, as stated; empty if none is stated.
        claim_generator: software that made the claim.
        actions: actions of the active manifest.
        ingredients: titles of the files that the file was made from.
        failures: codes of the checks that failed.
        address: address of remote credentials; empty for other states.
        problem: why the credentials could not be read; empty if they could.
    """

    state: str
    signer: str = ""
    signed: str = ""
    claim_generator: str = ""
    actions: tuple[Action, ...] = ()
    ingredients: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    address: str = ""
    problem: str = ""


def read(file: BinaryIO, file_format: str, *, anchors: str, sidecar: bytes = b"") -> Credentials:
    """Read and check the Content Credentials of a file.

    Args:
        file: the open file.
        file_format: format detected from its first bytes.
        anchors: certificates (PEM) of the authorities whose signers are trusted.
        sidecar: manifest stored beside the file; it replaces a manifest inside the file.
    """
    if file_format not in TYPES or not (sidecar or _file_may_hold(file)):
        return Credentials("none")
    import c2pa  # imported here: it loads slowly, and few files need it

    try:
        # Made for each call, because a context does not survive a fork.
        context = c2pa.Context.from_dict(OFFLINE | {"trust": {"trust_anchors": anchors}})
        if sidecar:
            reader = c2pa.Reader(TYPES[file_format], file, sidecar, context=context)
        else:
            reader = c2pa.Reader.try_create(TYPES[file_format], file, context=context)
        if reader is None:
            return Credentials("none")
        with reader:
            return _credentials(json.loads(reader.json()))
    except c2pa.C2paError as problem:
        text = str(problem)
        if "remote" in text.lower() and "url" in text.lower():
            return Credentials("remote", address=_text(text.rpartition(" ")[2]))
        return Credentials("invalid", problem=_text(text))


def _file_may_hold(file: BinaryIO) -> bool:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size == 0:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return may_hold(content)


def may_hold(content: bytes | mmap.mmap) -> bool:
    """Return whether a file may hold a manifest store, whose label is ``c2pa``, or XMP that points to one.

    Args:
        content: bytes of the file.

    Returns:
        False if the file certainly holds neither; True is not conclusive.
    """
    return content.find(b"c2pa") >= 0 or content.find(b"provenance") >= 0


_Json = dict[str, Any]  # from the C2PA library; any part may be missing


def _credentials(store: _Json) -> Credentials:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    results = store.get("validation_results", {}).get("activeManifest", {})
    codes = tuple(dict.fromkeys(_text(failure.get("code")) for failure in results.get("failure", [])))[:_MOST]
    signature = manifest.get("signature_info") or {}
    signer = " / ".join(filter(None, (_text(signature.get(name)) for name in ("issuer", "common_name"))))
    generators = [_agent(entry) for entry in manifest.get("claim_generator_info") or []]
    return Credentials(
        _state(store.get("validation_state"), set(codes)),
        signer,
        _text(signature.get("time")),
        _text(manifest.get("claim_generator")) or ", ".join(generators),
        tuple(_actions(manifest))[:_MOST],
        tuple(_text(part.get("title")) for part in manifest.get("ingredients") or [])[:_MOST],
        codes,
    )


def _state(verdict: object, codes: set[str]) -> str:
    if codes & _TAMPERED:
        return "tampered"
    if codes - {UNLISTED} or verdict not in ("Valid", "Trusted"):
        return "invalid"
    return "trusted" if verdict == "Trusted" and not codes else "untrusted"


def _actions(manifest: _Json) -> Iterator[Action]:
    for assertion in manifest.get("assertions") or []:
        if str(assertion.get("label")).startswith("c2pa.actions"):
            for action in (assertion.get("data") or {}).get("actions") or []:
                source = _text(action.get("digitalSourceType")).rstrip("/").rpartition("/")[2]
                yield Action(_text(action.get("action")), source, _agent(action.get("softwareAgent")))


def _agent(agent: object) -> str:
    """Return a software agent as text; manifests store it as text, or as a name with a version."""
    if isinstance(agent, dict):
        return " ".join(filter(None, (_text(agent.get("name")), _text(agent.get("version")))))
    return _text(agent)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value[:_LONGEST])
