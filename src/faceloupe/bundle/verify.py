"""Verification of a bundle from its own bytes, and from the public key if the recipient has it from elsewhere."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from faceloupe.bundle import format
from faceloupe.bundle.consistency import case_problems, log_problems
from faceloupe.bundle.format import Manifest
from faceloupe.bundle.reader import Archive
from faceloupe.bundle.signing import fingerprint, read_public, signed_by
from faceloupe.errors import BundleError
from faceloupe.media.evidence_file import printable_name
from faceloupe.types import Step


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, as a sentence."""

    good: bool
    text: str


_MEMBERS_UNCHECKED = "Whether the members are those of the manifest."
_CONTENT_UNCHECKED = (
    "Whether the chain of the log is intact.",
    "Whether case, items, log, reports, pictures and evidence are consistent.",
)


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of verifying a bundle.

    Attributes:
        findings: results of the checks, in their order.
        fingerprint: fingerprint of the key in the bundle, see ``signing.fingerprint``; None if no key can be read.
        unchecked: checks that were skipped because an earlier check failed, a sentence each.
    """

    findings: tuple[Finding, ...]
    fingerprint: str | None
    unchecked: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every check passed."""
        return all(finding.good for finding in self.findings)


def verify(stream: BinaryIO, *, key: bytes | None = None, step: Step | None = None) -> Verification:
    """Verify a bundle.

    A signature shows that the holder of the key made the bundle. It shows who that is only if the key, or its
    fingerprint, is known from elsewhere.

    Args:
        stream: seekable stream of the whole file.
        key: PEM of the public key that the bundle must be signed with; None accepts the key in the bundle.
        step: called with the share of the bytes hashed so far, 0..1; it may raise an exception to stop the work.

    Raises:
        UsageError: the file is not a ZIP.
        BundleError: ``key`` is not a public key.
    """
    expected = None if key is None else fingerprint(read_public(key, "The given key"))
    findings: list[Finding] = []

    def checked(good: str, problems: Iterable[str]) -> bool:
        failures = [Finding(good=False, text=problem) for problem in _printable_problems(problems)]
        findings.extend(failures or [Finding(good=True, text=good)])
        return not failures

    try:
        archive = Archive(stream)
    except BundleError as problem:
        return Verification((Finding(good=False, text=str(problem)),), None, (_MEMBERS_UNCHECKED, *_CONTENT_UNCHECKED))
    findings.append(Finding(good=True, text=f"The ZIP is valid and has {len(archive.sizes):,} members."))
    mark, problems = _signature(archive, expected)
    checked(f"{format.MANIFEST} is signed by the key {mark}.", problems)
    try:
        manifest = Manifest.from_bytes(archive.read(format.MANIFEST))
    except BundleError as problem:
        _add_once(findings, str(problem))
        return Verification(tuple(findings), mark, (_MEMBERS_UNCHECKED, *_CONTENT_UNCHECKED))
    whole = checked("The manifest lists exactly the members of the ZIP.", _listing(archive, manifest))
    whole &= checked("Every member has the size and SHA-256 in the manifest.", _hashes(archive, manifest, step))
    if whole:
        head = manifest.log_head_sha256
        checked(
            f"The chain of the log is intact: {manifest.log_entries:,} entries, head {head}.",
            log_problems(archive, manifest),
        )
        checked("Case, items, log, reports, pictures and evidence are consistent.", case_problems(archive, manifest))
    return Verification(tuple(findings), mark, () if whole else _CONTENT_UNCHECKED)


def _printable_problems(problems: Iterable[str]) -> Iterator[str]:
    """Yield the problems as printable text, and finally the error that stopped the check, if any."""
    try:
        yield from map(printable_name, problems)
    except BundleError as problem:
        yield printable_name(str(problem))


def _add_once(findings: list[Finding], text: str) -> None:
    if text not in {finding.text for finding in findings}:
        findings.append(Finding(good=False, text=text))


def _signature(archive: Archive, expected: str | None) -> tuple[str | None, list[str]]:
    """Return the fingerprint of the bundle's key, and the problems of its signature."""
    mark = None
    try:
        public = read_public(archive.read(format.PUBLIC_KEY), format.PUBLIC_KEY)
        mark = fingerprint(public)
        content = archive.read(format.MANIFEST)
        if format.SIGNATURE not in archive.sizes:
            return mark, [f"The bundle is not signed: {format.SIGNATURE} is missing."]
        if not signed_by(public, archive.read(format.SIGNATURE), content):
            names = f"{format.MANIFEST}, {format.SIGNATURE} or {format.PUBLIC_KEY}"
            return mark, [f"The signature does not match: {names} was altered."]
    except BundleError as problem:
        return mark, [str(problem)]
    if expected not in (None, mark):
        return mark, [f"The bundle is signed by the key {mark}, not by the given key {expected}."]
    return mark, []


def _listing(archive: Archive, manifest: Manifest) -> Iterator[str]:
    names = [member.name for member in manifest.members]
    if names != sorted(set(names)):
        yield f"{format.MANIFEST} lists a member twice or out of order."
    present = set(archive.sizes) - set(format.UNLISTED)
    for name in sorted(present - set(names)):
        yield f"{name} is not listed in {format.MANIFEST}."
    for name in sorted(set(names) - present):
        yield f"{name} is missing."
    required = {format.CASE, format.ITEMS, format.LOG, format.TABLE, format.PUBLIC_KEY}
    if manifest.format == "1":
        required.remove(format.ITEMS)
        if format.ITEMS in names:
            yield f"{format.ITEMS} does not belong in a bundle of format 1."
    for name in sorted(required - set(names)):
        yield f"{format.MANIFEST} does not list {name}, which every bundle must have."


def _hashes(archive: Archive, manifest: Manifest, step: Step | None) -> Iterator[str]:
    total, done = sum(archive.sizes.values()), 0
    for member in manifest.members:
        if member.name not in archive.sizes:
            continue  # already reported
        size = archive.sizes[member.name]
        if size != member.size:  # checked before reading, because it could be of any size
            yield f"{member.name} has {size:,} bytes instead of {member.size:,} as in {format.MANIFEST}."
            continue
        digest = hashlib.sha256()
        try:
            for chunk in archive.chunks(member.name):
                digest.update(chunk)
                done += len(chunk)
                if step:
                    step(done / max(total, 1))
        except BundleError as problem:
            yield str(problem)
            continue
        if digest.hexdigest() != member.sha256:
            yield f"{member.name} was altered: its SHA-256 differs from {format.MANIFEST}."
