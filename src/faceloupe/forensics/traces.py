"""Generator traces: claims of a file about the program that made it, found by a table of rules."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from faceloupe.forensics.provenance import GENERATED
from faceloupe.forensics.rates import rates_of
from faceloupe.forensics.results import Fact, Finding, LensResult, Severity, quoted
from faceloupe.forensics.source import LensSource
from faceloupe.media.statements import Statement

_RULES = Path(__file__).parent / "data" / "generator-rules.toml"
CREDENTIALS = "Content Credentials"
"""Structure of statements from Content Credentials; ``media.statements.Statement`` lists the other structures."""
_SENTENCES = {  # kind of the rule -> severity, sentence
    "generator": (Severity.WARNING, "The file claims that {name} made it ({place}, {key})."),
    "source": (Severity.WARNING, "The file claims that {name} ({place}, {key})."),
    "editor": (Severity.NOTICE, "The file claims that {name} processed it ({place}, {key})."),
    "developer": (Severity.INFO, "The file claims that {name} developed or adjusted it ({place}, {key})."),
    "encoder": (Severity.INFO, "The file claims that {name} encoded it ({place}, {key})."),
}
UNNAMED = "unnamed generator"
"""Name of the generator if the file claims to be generated but does not name the generator."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table.

    Attributes:
        id: stable id; reports state it after the prefix ``traces.``.
        name: name of the program, or the claim of the file.
        kind: ``generator``, ``source`` (the file states synthetic content), ``editor``, ``developer`` (of raw data) or
            ``encoder``.
        places: structures of the file that can contain the statement; see ``media.statements.Statement``.
        key: pattern that must match the whole key of the statement, ignoring case.
        value: pattern that must occur in the value of the statement.
        source: the document or code in which the form of the statement is defined.
        examples: place -> statements of a file on which the rule must fire; the tests make their files from these.
        with_key: pattern for the key of another required statement in one of the places; empty for none.
        with_value: pattern that must occur in the value of that statement.
        details: name -> pattern, whose first group is quoted from the value.
    """

    id: str
    name: str
    kind: str
    places: tuple[str, ...]
    key: str
    value: str
    source: str
    examples: dict[str, dict[str, str]]
    with_key: str = ""
    with_value: str = ""
    details: dict[str, str] = {}


class Trace(msgspec.Struct, frozen=True):
    """A rule that fired, and the statement on which it fired."""

    rule: Rule
    statement: Statement


@cache
def rules() -> tuple[Rule, ...]:
    """Read the table of rules, in the order of its file."""
    rows = tomllib.loads(_RULES.read_text(encoding="utf-8"))["rule"]
    return tuple(msgspec.convert(row, Rule) for row in rows)


def traces(source: LensSource) -> tuple[Trace, ...]:
    """Return the rules that fire on a file, each with the first statement that it matches.

    Raises:
        EvidenceError: the file cannot be read.
    """
    statements = (*source.metadata.statements, *_of_credentials(source))
    return tuple(
        Trace(rule, statement)
        for rule in rules()
        if (statement := next(_matching(rule.places, rule.key, rule.value, statements), None))
        and (not rule.with_key or any(_matching(rule.places, rule.with_key, rule.with_value, statements)))
    )


def _of_credentials(source: LensSource) -> Iterator[Statement]:
    """Yield the statements of intact credentials; broken credentials are ignored."""
    credentials = source.credentials
    if credentials.state in ("trusted", "untrusted"):
        values = [("claim_generator", credentials.claim_generator), ("signer", credentials.signer)]
        values += [("softwareAgent", action.agent) for action in credentials.actions]
        for key, value in values:
            if value:
                yield Statement(CREDENTIALS, key, value, len(value))


def _matching(places: tuple[str, ...], key: str, value: str, statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in statements:
        if (
            statement.structure in places
            and re.fullmatch(key, statement.key, re.IGNORECASE)
            and re.search(value, statement.value)
        ):
            yield statement


def generator(source: LensSource) -> str | None:
    """Return the generator that a file claims to be made with; None if it claims none.

    Raises:
        EvidenceError: the file cannot be read.
    """
    fired = traces(source)
    if named := next((trace.rule.name for trace in fired if trace.rule.kind == "generator"), None):
        return named
    credentials = source.credentials
    intact = credentials.state in ("trusted", "untrusted")
    if intact and (made := [action for action in credentials.actions if action.source_type in GENERATED]):
        return made[0].agent or credentials.claim_generator or UNNAMED
    return UNNAMED if any(trace.rule.kind == "source" for trace in fired) else None


def examine(source: LensSource) -> LensResult:
    """Match the statements of a file against the rules.

    Raises:
        EvidenceError: the file cannot be read.
    """
    facts, findings = list[Fact](), list[Finding]()
    for trace in traces(source):
        rule, statement = trace.rule, trace.statement
        severity, sentence = _SENTENCES[rule.kind]
        text = sentence.format(name=rule.name, place=statement.structure, key=quoted(statement.key))
        findings.append(Finding(f"traces.{rule.id}", severity, text, rates_of(f"traces.{rule.id}")))
        facts.append(Fact(f"{statement.structure}: {quoted(statement.key)}", quoted(statement.value, statement.size)))
        for name, pattern in rule.details.items():
            if match := re.search(pattern, statement.value, re.DOTALL):
                facts.append(Fact(f"{rule.name}, {name}", quoted(match[1])))
    problem = " ".join(source.metadata.problems)
    return LensResult(tuple(facts), tuple(findings), problem=problem)
