"""Verification of a bundle in the browser, and its protocol."""

import hashlib
from datetime import UTC, datetime
from io import BytesIO

import streamlit as st

from faceloupe import __version__
from faceloupe.bundle.signing import fingerprint, signing_key
from faceloupe.bundle.verify import Verification, verify
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.media.evidence_file import printable_name
from faceloupe.report.translation import Part, translated
from faceloupe.ui import resources
from faceloupe.ui.elements import plain
from faceloupe.ui.language import current, tr


def show(stream: BytesIO, name: str) -> None:
    """Verify a bundle, and show the result of each check.

    Args:
        stream: seekable stream of the whole file.
        name: name of the file.

    Raises:
        UsageError: the file is not a ZIP.
    """
    with st.spinner(tr("Verifying")):
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        verification = verify(stream)
    bad = sum(not finding.good for finding in verification.findings)
    if verification.good:
        st.success(tr("{name}: every check passed.", name=plain(name)), icon=":material/verified:")
    else:
        st.error(
            tr("{name}: 1 check failed.", name=plain(name))
            if bad == 1
            else tr("{name}: {bad} checks failed.", name=plain(name), bad=bad),
            icon=":material/gpp_bad:",
        )
    st.caption(tr("SHA-256 of the file `{digest}`", digest=digest))
    for finding in verification.findings:
        mark = tr(":green[:material/check_circle:] passed") if finding.good else tr(":red[:material/cancel:] failed")
        st.markdown(f"{mark}: {plain(_translated(finding.text))}")
    for sentence in verification.unchecked:
        st.markdown(f"{tr(':gray[:material/do_not_disturb_on:] not checked')}: {plain(_translated(sentence))}")
    if verification.fingerprint is not None:
        st.markdown(
            tr(
                "Fingerprint of the key in the bundle: `{fingerprint}`. A valid signature shows that the holder of "
                "this key created the manifest, and with it everything that passed the checks above. To know who "
                "that is, compare the fingerprint with one that you received in another way.",
                fingerprint=verification.fingerprint,
            )
        )
    st.download_button(
        tr("Download the protocol"),
        data=protocol(verification, name=name, sha256=digest, now=datetime.now(UTC)),
        file_name=f"faceloupe-verification-{digest[:12]}.txt",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
        key="download_protocol",
    )


def refused(problem: FaceLoupeError) -> None:
    """Show why a file could not be checked."""
    st.error(plain(_translated(str(problem))), icon=":material/error:")


def protocol(verification: Verification, *, name: str, sha256: str, now: datetime) -> str:
    """Return the verification as plain text for printing, in the language of this session."""
    head = (
        (tr("File"), printable_name(name)),
        ("SHA-256", sha256),
        (tr("Verified"), f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"),
        (tr("Program"), f"FaceLoupe {__version__}"),
        (tr("Result"), tr("every check passed") if verification.good else tr("failed")),
        (tr("Signing key"), verification.fingerprint or tr("cannot be read")),
    )
    width = max(len(label) for label, _ in head)
    lines = [
        tr("Verification of a FaceLoupe bundle"),
        "",
        *(f"{label:{width}}  {value}" for label, value in head),
        "",
        *(
            f"{tr('passed') if finding.good else tr('FAILED')}  {_translated(finding.text)}"
            for finding in verification.findings
        ),
        *(f"{tr('not checked')}  {_translated(sentence)}" for sentence in verification.unchecked),
    ]
    return "\n".join(lines) + "\n"


def _translated(sentence: str) -> str:
    """Return a sentence of the check in the language of this session; messages of libraries in it stay unchanged."""
    return translated(sentence, current(), Part.CHECK)


def own_fingerprint() -> None:
    """Show the fingerprint of the key that signs the bundles of this installation; the key is created if needed."""
    try:
        key = signing_key(resources.cases().folder)
    except UsageError as problem:
        st.error(plain(str(problem)), icon=":material/error:")
        return
    st.caption(
        tr(
            "Bundles made here are signed by the key with the fingerprint `{fingerprint}`. Tell it to recipients in "
            "another way than with the bundle, for example by telephone, so that they know who made the bundle.",
            fingerprint=fingerprint(key.public_key()),
        )
    )
