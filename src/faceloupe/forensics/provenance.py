"""Provenance: the statements of the Content Credentials (C2PA) of a file, and whether they are valid."""

from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensResult, Severity, quoted
from faceloupe.forensics.source import LensSource
from faceloupe.media.credentials import UNLISTED, Credentials

_STATES = {  # state -> severity of the finding, sentence
    "trusted": (
        Severity.INFO,
        "The Content Credentials are intact, and the signer is on the trust list: {signer}.",
    ),
    "untrusted": (
        Severity.NOTICE,
        "The Content Credentials are intact, but the signer is not on the trust list: {signer}. Anybody can sign.",
    ),
    "tampered": (
        Severity.WARNING,
        "The Content Credentials do not match the file or their signature: one was changed after signing ({failures}).",
    ),
    "invalid": (Severity.WARNING, "The Content Credentials are broken and state nothing reliable ({failures})."),
    "remote": (
        Severity.NOTICE,
        "The file points to Content Credentials elsewhere, which were not fetched: {address}",
    ),
}
CAPTURED = "digitalCapture"
_SOURCE_TYPES = {  # last part of the IPTC term -> its meaning
    "trainedAlgorithmicMedia": "was made by a generative model",
    "compositeWithTrainedAlgorithmicMedia": "contains parts made by a generative model",
    "algorithmicMedia": "was made by an algorithm without training data",
    "compositeSynthetic": "contains synthetic parts",
    CAPTURED: "was captured by a camera",
}
GENERATED = frozenset({"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"})
"""IPTC digital source types that name a generative model."""


def examine(source: LensSource) -> LensResult:
    """Check the Content Credentials of a file.

    Raises:
        EvidenceError: the file cannot be read.
    """
    credentials, trust_list = source.credentials, source.trust_list
    facts = [
        Fact("State", "none (unknown provenance)" if credentials.state == "none" else credentials.state),
        Fact("Trust list", f"{trust_list.name}, {trust_list.certificates} authorities, SHA-256 {trust_list.sha256}"),
    ]
    if credentials.state == "none":
        return LensResult(tuple(facts))
    facts += [Fact(name, quoted(value)) for name, value in _details(credentials) if value]
    severity, sentence = _STATES[credentials.state]
    text = sentence.format(
        signer=quoted(credentials.signer) or "no name",
        failures=", ".join(code for code in credentials.failures if code != UNLISTED) or credentials.problem,
        address=quoted(credentials.address),
    )
    rule = f"provenance.{credentials.state}"
    findings = [Finding(rule, severity, text, rates_of(rule))]
    for source_type in dict.fromkeys(action.source_type for action in credentials.actions):
        if meaning := _SOURCE_TYPES.get(source_type):
            rule = f"provenance.{source_type}"
            stated = f"The Content Credentials state that the content {meaning} ({source_type})."
            severity = Severity.INFO if source_type == CAPTURED else Severity.WARNING
            findings.append(Finding(rule, severity, stated, rates_of(rule)))
    return LensResult(tuple(facts), tuple(findings))


def _details(credentials: Credentials) -> list[tuple[str, str]]:
    actions = [
        " ".join(filter(None, (action.name, action.agent and f"by {action.agent}", action.source_type)))
        for action in credentials.actions
    ]
    return [
        ("Signer", credentials.signer),
        ("Signed", credentials.signed),
        ("Claim generator", credentials.claim_generator),
        ("Actions", "; ".join(actions)),
        ("Ingredients", "; ".join(credentials.ingredients)),
        ("Failed checks", ", ".join(credentials.failures)),
        ("Problem", credentials.problem),
        ("Address (not fetched)", credentials.address),
    ]
