"""Generator traces: what a file claims about the program that made it, by a table of rules."""

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
"""Place of the statements that the Content Credentials make; see ``media.statements.Statement`` for the others."""
_SENTENCES = {  # kind of the rule -> severity, sentence
    "generator": (Severity.WARNING, "The file claims that {name} made it ({place}, {key})."),
    "source": (Severity.WARNING, "The file claims that {name} ({place}, {key})."),
    "editor": (Severity.NOTICE, "The file claims that {name} processed it ({place}, {key})."),
    "developer": (Severity.INFO, "The file claims that {name} developed or adjusted it ({place}, {key})."),
    "encoder": (Severity.INFO, "The file claims that {name} encoded it ({place}, {key})."),
}
UNNAMED = "unnamed generator"
"""Generator of a file that claims to be generated and does not name by what."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table.

    Attributes:
        id: stable, in reports after ``traces.``.
        name: of the program, or what the file claims.
        kind: ``generator``, ``source`` (it states synthetic content), ``editor``, ``developer`` (of raw data) or
            ``encoder``.
        places: structures that carry it; see ``media.statements.Statement``.
        key: pattern that the whole name of the statement must match, in either case.
        value: pattern that must be in its value.
        source: where the form is documented or written.
        examples: place -> statements of a file that it must fire on; fixtures of the tests are made from these.
        with_key: pattern of another statement that must be there as well, at the same place; empty for none.
        with_value: pattern that must be in its value.
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
    """A rule that fired, and the statement it fired on."""

    rule: Rule
    statement: Statement


@cache
def rules() -> tuple[Rule, ...]:
    """Read the table of rules, in the order of its file."""
    rows = tomllib.loads(_RULES.read_text(encoding="utf-8"))["rule"]
    return tuple(msgspec.convert(row, Rule) for row in rows)


def traces(source: LensSource) -> tuple[Trace, ...]:
    """List the rules that fire on a file, each on its first statement.

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
    """Statements of intact credentials; those of broken ones count for nothing."""
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
    """Name the generator that a file claims to be made with; None where it claims none.

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


def look(source: LensSource) -> LensResult:
    """Hold the statements of a file against the rules.

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
