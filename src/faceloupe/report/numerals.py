"""Numbers in the notation of the reader's language."""

_MARKS = {"en": (",", "."), "de": (".", ","), "fr": ("\u202f", ",")}  # between thousands, before decimals


def decimal(value: float, decimals: int, language: str, *, signed: bool = False) -> str:
    """Return a number with grouped thousands: 1,234.5 in English, 1.234,5 in German, 1 234,5 in French."""
    sign = "+" if signed else ""
    return localized(f"{value:{sign},.{decimals}f}", language)


def localized(number: str, language: str) -> str:
    """Convert a number from English notation to the notation of a language."""
    thousands, point = _MARKS.get(language, _MARKS["en"])
    return number.translate({ord(","): thousands, ord("."): point})


def percent(share: float, language: str) -> str:
    """Return a share 0..1 as a percentage with one decimal."""
    return f"{decimal(100.0 * share, 1, language)} %"
