"""Small elements that every page uses: escaped text, marks of outcomes, figures and messages."""

import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from faceloupe.media.evidence_file import printable_name
from faceloupe.report.drawing import overlays
from faceloupe.report.numerals import localized
from faceloupe.report.translation import translated
from faceloupe.types import Outcome
from faceloupe.ui import language
from faceloupe.ui.language import tr

ICON = Path(__file__).with_name("icon.png")  # a file: Streamlit fetches named icons for the tab from the network
INKS = {
    Outcome.MANIPULATED: "red",
    Outcome.AUTHENTIC: "green",
    Outcome.INCONCLUSIVE: "orange",
    Outcome.NOT_APPLICABLE: "gray",
    Outcome.ERROR: "gray",
}
NONE = "\\-"  # a dash that Markdown does not read as a list
# Streamlit turns these into links, icons and arrows even if they are escaped; a zero-width character prevents it.
_JOINER = "\u2060"
_REWRITTEN = re.compile(
    r"www(?=\.)|@(?=\w)|:(?=//|[a-z_+-]|100:|1234:|8ball:|[123](?:st|nd|rd)_)|(?<!\S)[-<>~](?=[-=>]+(?!\S))",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Return a text escaped for Markdown, so that no part of it acts as markup or changes the text direction."""
    text = "\n".join(printable_name(line) for line in text.split("\n"))
    text = _REWRITTEN.sub(lambda match: f"{match[0]}{_JOINER}", text)
    return "".join("\\" + character if character in "\\`*_{}[]()<>#+-.!|~$:&" else character for character in text)


def outcome_mark(outcome: Outcome) -> str:
    """Return the color, shape and name of an outcome, as Markdown."""
    return f":{INKS[outcome]}[{overlays.SHAPES[outcome]}] {tr(overlays.outcome_words(outcome))}"


def ink() -> str:
    """Return the color of text in drawings that is readable on the background of the theme."""
    return "#E8E8E8" if st.context.theme.type == "dark" else "#1E1E1E"


def chart(figure: go.Figure, *, key: str, alt: str, **options: Any) -> None:
    """Show a figure, with numbers in the style of the session's language.

    Args:
        figure: the figure.
        key: key of the widget.
        alt: alternative text for the figure.
        options: further arguments of ``st.plotly_chart``.
    """
    thousands, point = localized(",", language.current()), localized(".", language.current())
    figure.update_layout(separators=point + thousands)
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key, alt=alt, **options)


def notice(key: str) -> None:
    """Show the outcome of the last action, an icon and a sentence in the session state, if there is one."""
    if st.session_state[key] is not None:
        icon, sentence = st.session_state[key]
        (st.error if icon == "error" else st.info)(plain(sentence), icon=f":material/{icon}:")


def short(text: str, most: int = 40) -> str:
    """Return a text, shortened to ``most`` characters if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sentence(text: str) -> str:
    """Return a reason of a report as a sentence in the language of this session, escaped for Markdown."""
    return plain(capital(translated(text, language.current())).rstrip(".") + ".")


def capital(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]
