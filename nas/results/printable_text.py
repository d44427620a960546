"""Text that is safe to print: names of files and classes without control characters or undecodable bytes."""

from __future__ import annotations

import unicodedata

_NOT_PRINTED = frozenset(("Cc", "Cs", "Zl", "Zp"))
# Marks that change the direction of the text around them, and so can make one name look like another.
_DIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""Replace control characters, directional marks and undecodable bytes by escapes such as `\n`, `\x1b`, `\xe9`.

    Args:
        text: May contain the surrogates by which `os.fsdecode` stands for bytes that are not UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def printable_lines(text: str) -> str:
    """Replace unprintable characters of each line, and keep the line breaks."""
    return "\n".join(printable(line) for line in text.split("\n"))


def class_name(text: str) -> str:
    """Return the name of a class as it is stored: in Unicode's composed form (NFC), and printable."""
    return printable(unicodedata.normalize("NFC", text))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in _NOT_PRINTED or character in _DIRECTIONAL:
        return character.encode("unicode_escape").decode()
    return character
