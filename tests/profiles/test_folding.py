from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.profiles.fields import folded
from harvesters.profiles.folding import LONGEST_WORD, words

LETTERS = st.text(st.characters(categories=["L", "N", "M", "P", "Z"]))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Łukasz", "lukasz"),
        ("Zoë", "zoe"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("Nguyễn", "nguyen"),
        ("Øre Đặng Æsir Œuvre", "ore dang aesir oeuvre"),
        ("Þór Guðrún", "thor gudrun"),
        ("ISTANBUL İstanbul ısı", "istanbul istanbul isi"),
        ("ﬁsh ﬀ ĳ", "fish ff ij"),
        ("Ｊｏｈｎ 𝓙𝓸𝓱𝓷 Ⅷ", "john john viii"),
        ("ΣΊΣΥΦΟΣ Σίσυφος", "σισυφοσ σισυφοσ"),
        ("Йод Ёж", "иод еж"),
        ("O'Neil O\u2019Neil O\u02bcNeil", "o neil o neil o neil"),
        ("Anne-Marie under_score a.b", "anne marie under score a b"),
        ("so\u00adft zero\u200bwidth", "soft zerowidth"),
        ("हिन्दी", "हिन्दी"),
        ("김철수", "김철수"),
        ("王小明", "王 小 明"),
        ('* " \\ {} [] () ~ ^ : !', ""),
        ("🎉 — …", ""),
        ("", ""),
    ],
)
def test_words_are_folded(text: str, plain: str) -> None:
    assert words(text) == plain.split()


@given(st.text())
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(st.text())
def test_how_unicode_spells_it_does_not_matter(text: str) -> None:
    assert {tuple(words(unicodedata.normalize(form, text))) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {
        tuple(words(text))
    }


@given(LETTERS)
def test_case_does_not_matter(text: str) -> None:
    assert words(text.casefold()) == words(text)


@given(st.text(), st.text())
def test_words_of_texts_with_a_blank_between_are_the_words_of_each(one: str, other: str) -> None:
    assert words(f"{one} {other}") == words(one) + words(other)


@given(st.text())
def test_a_word_has_a_letter_or_a_digit_and_no_blank(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= LONGEST_WORD
        assert any(letter.isalnum() for letter in word)
        assert word.split() == [word]
    assert bool(words(text)) == any(letter.isalnum() for letter in " ".join(words(text)))


@given(st.text(st.characters(codec="ascii")))
def test_of_ascii_the_letters_and_digits_are_kept_in_lower_case(text: str) -> None:
    assert "".join(words(text)) == "".join(letter for letter in text.lower() if letter.isalnum())


def test_a_profile_is_found_by_its_name_and_bio_alone() -> None:
    profile = {"name": "Zoë Łoś", "bio": "Coffee!", "email": "zoe@example.edu", "first_name": "Somebody"}
    assert folded(profile) == {"name": "zoe los", "bio": "coffee", "order": "zoe los"}
    assert folded({"name": 17, "bio": None}) == {"name": "17", "order": "17"}
    assert folded({"name": "🎉", "bio": True}) == {}
