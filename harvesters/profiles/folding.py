"""Words as search compares them: without regard to case, accents, and how a letter is written. Pure.

The core of Elasticsearch folds nothing, so we do: with this, when a profile is indexed, and when somebody searches.
Unicode takes accents and ligatures apart; what it takes for letters of their own (ł, ø, æ) goes by its name.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 100
"""Letters of a word that count, which is less than what Elasticsearch takes for one word."""

_BY_NAME = re.compile(r"LATIN SMALL (?:LETTER|LIGATURE) ([A-Z]{1,2})(?: WITH .+)?")  # Ø: O WITH STROKE, Æ: AE
_BY_HAND = {"þ": "th", "ð": "d", "ı": "i", "ȷ": "j", "ŋ": "n", "ĸ": "k", "ʻ": " ", "ʼ": " "}

# Marks that one may leave out. Those of Indian and other scripts are vowels, and stay.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
)
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def words(text: str) -> list[str]:
    """The words of `text`, folded, in their order: runs of letters, digits and their marks.

    Chinese characters and hiragana, which are written without spaces, are a word each.
    """
    spelled = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    folded = unicodedata.normalize("NFC", spelled.translate(_PLAIN)).split()
    return [word[:LONGEST_WORD] for word in folded if any(map(str.isalnum, word))]


class _Plain(dict[int, str]):
    """What becomes of a character, found out when it comes for the first time."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _plain(chr(code))
        return plain


_PLAIN = _Plain()


def _plain(char: str) -> str:
    """The letters that stand for `char`; "" for what does not count, a blank for what parts words."""
    if char in _BY_HAND:
        return _BY_HAND[char]
    category = unicodedata.category(char)
    if _ACCENTS.match(char) or category == "Cf":
        return ""
    if _UNSPACED.match(char):
        return f" {char} "
    if named := _BY_NAME.fullmatch(unicodedata.name(char, "")):
        return named[1].lower()
    return char if category[0] in "LNM" else " "
