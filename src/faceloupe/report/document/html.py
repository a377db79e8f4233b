"""A case report as one printable HTML file without scripts or external resources."""

import base64
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from faceloupe.report.case_schema import CaseRecord
from faceloupe.report.document.blocks import Block, Picture
from faceloupe.report.document.case import CaseDocument, Letterhead
from faceloupe.report.document.images import Fetch
from faceloupe.report.drawing.overlays import COLORS


def render_html(
    case: CaseRecord, picture: Fetch, *, letterhead: Letterhead, language: str = "en", with_log: bool = False
) -> str:
    """Draw a case record as HTML.

    Untrusted text is escaped, its control and direction marks are replaced, and the direction of each piece is
    isolated, so that a name can neither become markup nor reverse the text around it.

    Args:
        case: the record of a case.
        picture: SHA-256 of a PNG -> its bytes.
        letterhead: the issuer of the report.
        language: language of the fixed texts.
        with_log: whether to show the entries of the log.

    Returns:
        The complete document.

    Raises:
        UsageError: there are no fixed texts in that language.
        EvidenceError: a picture does not match its hash in the record.
    """
    document = CaseDocument(case, picture, letterhead, language)
    logo = letterhead.logo_png and f"data:image/png;base64,{base64.b64encode(letterhead.logo_png).decode()}"
    return (
        _environment()
        .get_template("case.html.j2")
        .render(
            document=document,
            texts=document.texts,
            logo=logo,
            blocks=document.blocks(most_entries=None if with_log else 0),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("faceloupe.report.document", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": _kind, "data_uri": _data_uri}
    environment.globals["colors"] = {outcome.value: color for outcome, color in COLORS.items()}
    return environment


def _kind(part: Block) -> str:
    return type(part).__name__


def _data_uri(picture: Picture) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.content).decode()}"
