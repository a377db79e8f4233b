"""Content Credentials (C2PA) of a file, checked without a network.

The library goes to the network by default, and ignores settings that it does not know: the settings below are held by a
test with a listener. Its work runs in the decoder's process, which has no network to begin with.
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
TYPES = {  # format -> media type that the library knows it by
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
_TAMPERED = {  # C2PA specification 2.1, 15.2: the signed content and what is there differ
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
        name: such as ``c2pa.created``.
        source_type: last part of its IPTC digital source type; empty where none is stated.
        agent: software that did it; empty likewise.
    """

    name: str
    source_type: str = ""
    agent: str = ""


class Credentials(msgspec.Struct, frozen=True):
    """What the Content Credentials of a file state, and whether they hold.

    Attributes:
        state: ``none``; ``trusted`` intact, and its signer is on the list; ``untrusted`` intact, and its signer is not;
            ``tampered`` the content or the claim differs from what was signed; ``invalid`` broken otherwise; ``remote``
            the file only points to credentials elsewhere, which are never fetched.
        signer: organization and name in the signing certificate; empty where there is none.
        signed: time of the signature, as stated; empty where none is stated.
        claim_generator: software that made the claim.
        actions: of the active manifest.
        ingredients: title of each file that it was made from.
        failures: codes of the checks that failed.
        address: where the credentials lie, if that is elsewhere.
        problem: why they could not be read; empty where they could.
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
        file: its bytes.
        file_format: the format that its first bytes show.
        anchors: certificates (PEM) of those whose signers are trusted.
        sidecar: a manifest that lies beside the file; it then takes the place of one inside.
    """
    if file_format not in TYPES or not (sidecar or _file_may_hold(file)):
        return Credentials("none")
    import c2pa  # takes longer to load than all else here, and few files need it

    try:
        # Made here and not once: it does not survive a fork.
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
    """Tell whether a file may hold a manifest store, whose label is ``c2pa``, or XMP that points to one.

    Args:
        content: of the file.

    Returns:
        False where it holds neither for sure; True decides nothing.
    """
    return content.find(b"c2pa") >= 0 or content.find(b"provenance") >= 0


_Json = dict[str, Any]  # of the C2PA library, in a form of its own that any file may lack parts of


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
    """Return a software agent as text: it is stored as a text, or as a name with a version."""
    if isinstance(agent, dict):
        return " ".join(filter(None, (_text(agent.get("name")), _text(agent.get("version")))))
    return _text(agent)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value[:_LONGEST])
