"""What was searched, marked in a text: HTML in which everything is escaped but our ``<mark>``. Pure.

Elasticsearch's own highlighters look for words with typos anew in each text, which takes longer than the search. Words
and typos are here what they are there: those of its standard analyser, and of ``fuzziness: AUTO``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape

SHOWN = 300
"""Characters of a text that are shown; a shorter one is shown as a whole."""

_READ = 10_000  # characters of a text in which words are looked for
_BEFORE = 60  # characters shown before the first mark
_ONE_TYPO_FROM, _TWO_TYPOS_FROM = 3, 6  # letters


@dataclass(frozen=True)
class Highlight:
    """HTML for title and description, of a long one the part around the first mark."""

    title: str
    description: str


@dataclass(frozen=True)
class Word:
    """A word in a text: what it is compared as, and where it stands."""

    text: str
    start: int
    end: int


class Words:
    """The words that somebody searched for."""

    def __init__(self, text: str) -> None:
        self._wanted = {word.text for word in words(text)}

    def highlight(self, title: str, description: str) -> Highlight:
        """Title and description, with those words in them marked that made the listing a hit."""
        if not self._wanted:
            return Highlight(_excerpt(title, []), _excerpt(description, []))
        texts = [[*words(text[:_READ])] for text in (title, description)]
        hits = self._hits({word.text for text in texts for word in text})
        named, said = ([word for word in text if word.text in hits] for text in texts)
        return Highlight(_excerpt(title, named), _excerpt(description, said))

    def _hits(self, there: set[str]) -> set[str]:
        """Words of a listing to mark: the wanted ones, and of those that are missing what is nearly like them."""
        missing = self._wanted - there
        return self._wanted | {word for word in there if any(is_near(word, wanted) for wanted in missing)}


def words(text: str) -> Iterator[Word]:
    """The words of `text`, in lower case, as Elasticsearch's standard analyser finds them."""
    for found in _WORD.finditer(text.translate(_KINDS)):
        word = text[found.start() : found.end()]
        if any(map(str.isalnum, word)):
            lower = word.lower() if word.isascii() else "".join(map(_lower, word))
            yield Word(lower, found.start(), found.end())


@lru_cache(10_000)
def is_near(word: str, wanted: str) -> bool:
    """Whether `word` is `wanted` with no more typos than ``AUTO`` allows for so many letters."""
    most = 0 if len(wanted) < _ONE_TYPO_FROM else 1 if len(wanted) < _TWO_TYPOS_FROM else 2
    if abs(len(word) - len(wanted)) > most:
        return False
    return word == wanted or (most > 0 and _typos(word, wanted) <= most)


def _typos(one: str, other: str) -> int:
    """Letters that are too many, missing, wrong, or swapped with their neighbour."""
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            typos = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                typos = min(typos, last[j - 2] + 1)
            row.append(typos)
    return row[-1]


def _excerpt(text: str, marks: list[Word]) -> str:
    if len(text) <= SHOWN:
        return _marked(text, marks, 0, len(text))
    start = max(0, marks[0].start - _BEFORE) if marks else 0
    start = max(0, min(start, len(text) - SHOWN))
    if start and (blank := text.find(" ", start, start + _BEFORE)) >= 0:
        start = blank + 1
    end = min(len(text), start + SHOWN)
    if end < len(text) and (blank := text.rfind(" ", end - _BEFORE, end)) >= 0:
        end = blank
    before, after = "… " if start else "", " …" if end < len(text) else ""
    return before + _marked(text, marks, start, end) + after


def _marked(text: str, marks: list[Word], start: int, end: int) -> str:
    """The part from `start` to `end`."""
    parts = []
    for mark in marks:
        if start <= mark.start and mark.end <= end:
            parts += [escape(text[start : mark.start]), f"<mark>{escape(text[mark.start : mark.end])}</mark>"]
            start = mark.end
    return "".join([*parts, escape(text[start:end])])


def _lower(letter: str) -> str:
    """By itself, as Java does it: one letter for each."""
    return "i" if letter == "İ" else letter.lower()


class _Kinds(dict[int, str]):
    """What a character is to words, found out when it comes for the first time.

    ``L`` letter, ``D`` digit, ``x`` goes with what stands before, ``C`` a word of its own, ``_`` joins; between two
    letters ``m`` joins, between two digits ``n``, ``b`` does both; a blank parts words.
    """

    def __missing__(self, code: int) -> str:
        self[code] = kind = _kind(chr(code))
        return kind


_JOINING = {**dict.fromkeys(":·", "m"), **dict.fromkeys(",;", "n"), **dict.fromkeys(".'‘’", "b")}
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_KINDS = _Kinds()
_WORD = re.compile("Cx*|(?:[LDx_]|(?<=[Lx])[mb](?=L)|(?<=[Dx])[nb](?=D))+")


def _kind(char: str) -> str:
    if char in _JOINING:
        return _JOINING[char]
    category = unicodedata.category(char)
    if category in ("Mn", "Mc", "Me", "Cf"):
        return "x"
    if category == "Pc":
        return "_"
    if category == "Nd":
        return "D"
    if _UNSPACED.match(char):
        return "C"
    return "L" if category[0] == "L" or category == "Nl" else " "
