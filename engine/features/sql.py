"""Writing texts into SQL."""

from collections.abc import Iterable


def quote_text(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_texts(texts: Iterable[str]) -> str:
    """Return the texts as a comma-separated list of SQL literals, sorted."""
    return ", ".join(quote_text(text) for text in sorted(texts))
