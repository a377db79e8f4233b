"""A reader of the Dockerfile: its stages and steps, as an engine would read them. Unknown instructions are refused."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its keyword, and the rest of its lines, joined."""

    word: str
    rest: str

    @property
    def listed(self) -> list[str]:
        """Arguments of an instruction in JSON form.

        Raises:
            ValueError: the instruction is in another form.
        """
        return json.loads(self.rest[self.rest.index("[") :])


@dataclass(slots=True)
class Stage:
    """A ``FROM`` with the steps that follow it.

    Attributes:
        name: name after ``AS``; empty if there is none.
        base: an image, or the name of an earlier stage.
        steps: in order.
    """

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def last(self, word: str) -> Step | None:
        """Return the last step of a kind; of ``CMD``, ``USER`` and ``HEALTHCHECK``, only the last one counts."""
        return next((step for step in reversed(self.steps) if step.word == word), None)


def read(path: Path) -> list[Stage]:
    """Read the stages of a Dockerfile.

    Raises:
        ValueError: the file holds an unknown instruction.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word not in KNOWN or (not stages and word != "FROM"):
            raise ValueError(f"{path.name} holds the instruction {word}, which is not known here")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name, base))
        else:
            stages[-1].steps.append(Step(word, rest))
    return stages


def expand(text: str, values: dict[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}`` by their values, as in ``ENV``."""
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda match: values.get(match[1] or match[2], ""), text)
