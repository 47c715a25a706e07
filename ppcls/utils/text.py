"""Text of files that nobody vouches for, as every terminal and log can show it."""


def printable(text: str) -> str:
    """``text`` on one line, with escapes for what is no letter, number, sign or blank."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
