"""Texts that are not ours, for a terminal."""

import unicodedata


def printable(text: str) -> str:
    r"""The text with control characters as escapes, as in \x1b: a terminal would obey them. Lines stay lines."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line(error: Exception | str) -> str:
    """The message of an error as one line of printable characters, of a thousand at most."""
    text = " ".join(str(error).split())
    return printable(f"{text[:700]} ... {text[-290:]}" if len(text) > 1000 else text)
