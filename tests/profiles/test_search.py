from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.elastic.client import Answer
from harvesters.errors import ConfigError
from harvesters.profiles.folding import words
from harvesters.profiles.index import ProfileIndex
from harvesters.profiles.search import LONGEST_TEXT, Found, search
from harvesters.profiles.suggest import suggest
from tests.profiles.conftest import NAME, People


def ids(people: People, text: str | None, **options: Any) -> list[str]:
    options.setdefault("limit", 100)
    return [hit.id for hit in search(people.index, text, **options).hits]


def walk(people: People, text: str | None, limit: int, **options: Any) -> list[str]:
    """All hits, a page after the other."""
    found, after = [], None
    while True:
        page = search(people.index, text, limit=limit, after=after, **options)
        found += [hit.id for hit in page.hits]
        assert len(page.hits) <= limit
        if page.next is None:
            assert page.total == len(found)
            return found
        assert len(page.hits) == limit
        after = page.next


class TestWords:
    def test_every_word_is_in_name_or_bio_in_any_order(self, people: People) -> None:
        people.add(
            {
                "both": {"name": "Linh Nguyễn", "bio": "Coffee and code"},
                "name alone": {"name": "Minh Nguyen", "bio": "Tea"},
                "bio alone": {"name": "Ana Park", "bio": "Coffee"},
                "in the bio": {"name": "Ana", "bio": "coffee with the Nguyens"},
            }
        )
        assert ids(people, "nguyen coffee") == ["both", "in the bio"]
        assert ids(people, "COFFEE, Nguyên?") == ["both", "in the bio"]
        assert ids(people, "nguyen coffee tea") == []

    def test_case_and_accents_do_not_matter_at_the_first_letter_either(self, people: People) -> None:
        people.named("Łukasz", "Zoë", "Straße", "Somebody")
        asked = {"lukasz": "Łukasz", "zoe": "Zoë", "strasse": "Straße", "ŁUKASZ": "Łukasz", "STRASSE": "Straße"}
        assert {text: ids(people, text) for text in asked} == {text: [name] for text, name in asked.items()}

    def test_a_word_may_have_a_typo_from_three_letters_on_and_two_from_six(self, people: People) -> None:
        people.named("an", "ana", "maria", "nguyen")
        asked = {
            "an": ["an"],
            "ab": [],
            "ana": ["ana", "an"],
            "bna": ["ana"],
            "nguyn": ["nguyen"],
            "nguyxx": ["nguyen"],
            "mguyem": ["nguyen"],
            "nguxxx": [],
            "maric": ["maria"],
            "mbric": [],
            "amria": ["maria"],
        }
        assert {text: ids(people, text) for text in asked} == asked

    def test_letters_are_counted_as_they_are_folded(self, people: People) -> None:
        people.named("ßb", "Æx")
        assert ids(people, "ßa") == ["ßb"], "three letters, one typo"
        assert ids(people, "æ") == [], "two letters"

    def test_all_words_that_are_near_count_however_many_there_are(self, people: People) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        names = [f"{a}{b}na" for a in "mn" for b in letters] + [f"mi{a}a" for a in letters]
        people.named(*dict.fromkeys(names))
        near = {name for name in names if sum(a != b for a, b in zip(name, "mina", strict=True)) < 2}
        assert set(ids(people, "mina")) == near
        assert len(near) > 60

    def test_e_mail_addresses_and_other_fields_are_neither_searched_nor_shown(self, people: People) -> None:
        people.add({"x": {"name": "Ana", "email": "secret@example.edu", "password": "hunter2", "nick": "nickname"}})
        assert ids(people, "secret") == ids(people, "hunter2") == ids(people, "nickname") == []
        assert "secret" not in str(search(people.index, "ana")), "not even beside a hit"

    def test_names_and_bios_of_any_kind_are_taken(self, people: People) -> None:
        people.add(
            {
                "number": {"name": 4711, "bio": None},
                "map": {"name": {"first": "Ana"}, "first_name": "Eva"},
                "parts": {"first_name": "Ana", "last_name": "Park"},
                "schools": {"name": "Schooled", "schools": {"osu_edu": True, "mit_edu": {}}},
                "long": {"name": "Long", "bio": "x" * 40_000 + " coffee"},
                "own": {"name": "Own", "folded": {"name": "mine"}},
            }
        )
        assert ids(people, "4711") == ["number"]
        assert ids(people, "eva") == ["map"]
        assert ids(people, "park ana") == ["parts"]
        assert ids(people, "coffee") == ["long"]
        assert ids(people, "mine") == []
        (hit,) = search(people.index, "schooled").hits
        assert (hit.school_ids, hit.class_ids, hit.bio) == (["mit_edu", "osu_edu"], [], "")


class TestOperators:
    def test_operators_are_words_or_nothing(self, people: People) -> None:
        people.named("ana", "bob")
        for text in (
            *("ana OR bob", "ana AND bob", "NOT bob ana", "ana | bob", "ana, +bob", "_exists_:ana", "name:ana"),
            *('{"match_all": {}}', "(ana bob)", "/an./", "ana\\bob", "[a TO z]", "ana^2", "<b>ana</b>"),
        ):
            assert ids(people, text) == [], "nobody has all of these words"

    def test_signs_around_a_word_mean_nothing(self, people: People) -> None:
        people.named("ana", "bob", "anastasia")
        for text in ("ana*", '"ana"', "ana~", "+ana", "-ana", "{ana}", "\\ana", "ana:", "?ana", "an\u00ada"):
            assert ids(people, text) == ["ana"], text

    def test_without_a_letter_or_a_digit_nothing_is_found(self, people: People) -> None:
        people.named("ana", "*", "_")
        for text in ("", " ", "*", '"', "\\", "_", "?!", "*:*", "{}", "🎉", "\ud800", "\x00", "\u0301"):
            assert search(people.index, text) == Found(0, [], None), text
            assert suggest(people.index, text) == []

    def test_the_longest_text_is_answered(self, people: People) -> None:
        text = " ".join(f"{number:03d}" for number in range(64))
        people.named("ana", text)
        assert ids(people, text) == [text]
        assert len(text) == LONGEST_TEXT - 1
        assert ids(people, " ".join("abcdefghijklmnopqrstuvwxyz" * 5)[:LONGEST_TEXT]) == []
        assert ids(people, "ﷺ" * LONGEST_TEXT) == []


class TestOrder:
    def test_exact_comes_before_nearly_right_and_name_before_bio(self, people: People) -> None:
        people.add(
            {
                "1": {"name": "Garbage", "bio": "Marten"},
                "2": {"name": "Marten"},
                "3": {"name": "Somebody", "bio": "Martin"},
                "4": {"name": "Martin"},
                "5": {"name": "Marxen"},
                "6": {"name": "Martin", "bio": "Martin"},
            }
        )
        assert ids(people, "martin") == ["4", "6", "3", "2", "1", "5"]
        scores = [hit.score or 0 for hit in search(people.index, "martin").hits]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[2] > scores[3] > scores[4] > scores[5]

    def test_no_number_of_names_makes_up_for_a_typo(self, people: People) -> None:
        people.add(
            {
                "names, a typo": {"name": "Anna Bella Clara Dorax"},
                "bio, exact": {"name": "Somebody", "bio": "anna bella clara dora"},
            }
        )
        assert ids(people, "anna bella clara dora") == ["bio, exact", "names, a typo"]

    def test_ties_are_broken_by_id(self, people: People) -> None:
        keys = [f"-K{number}" for number in range(30)]
        random.Random(1).shuffle(keys)
        people.add({key: {"name": "Ana"} for key in keys})
        assert ids(people, "ana") == sorted(keys)

    def test_without_a_text_all_by_name_and_those_without_one_last(self, people: People) -> None:
        people.add(
            {
                "a": {"name": "Zoë"},
                "b": {"bio": "no name"},
                "c": {"name": "Łukasz"},
                "d": {"name": "ana B"},
                "e": {"name": "Ana a"},
                "f": {"name": "🎉"},
                "g": {"name": "Ana A"},
            }
        )
        assert ids(people, None) == ["e", "g", "d", "c", "a", "b", "f"]
        assert all(hit.score is None for hit in search(people.index, None).hits)


class TestFilters:
    def test_filters_are_exact_ids(self, people: People) -> None:
        people.add(
            {
                "1": {"name": "Ana", "schools": {"osu_edu": {}}, "classes": {"BIO 101": {}}},
                "2": {"name": "Ana", "schools": {"osu_edu": {}, "mit_edu": {}}, "classes": {"BIO 102": {}}},
                "3": {"name": "Ana"},
            }
        )
        assert ids(people, "ana", school="osu_edu") == ["1", "2"]
        assert ids(people, "ana", school="osu_edu", class_id="BIO 102") == ["2"]
        assert ids(people, None, school="mit_edu") == ["2"]
        for odd in ("osu", "OSU_EDU", "osu*", "osu_edu OR mit_edu", "", "\ud800", "x" * 40_000):
            assert ids(people, "ana", school=odd) == ids(people, None, class_id=odd) == []


class TestPages:
    @pytest.mark.parametrize("text", ["ana", None])
    @pytest.mark.parametrize("limit", [1, 4, 7, 21, 22])
    def test_a_walk_gives_everybody_once_ties_too(self, people: People, text: str | None, limit: int) -> None:
        people.add({f"k{number}": {"name": ["Ana", "Anna", "Ona"][number % 3]} for number in range(18)})
        people.add({f"b{number}": {"bio": "ana"} for number in range(3)})
        found = walk(people, text, limit)
        assert sorted(found) == sorted(set(found))
        assert found == ids(people, text)
        assert len(found) == 21

    def test_the_total_is_exact_beyond_what_elasticsearch_counts_by_itself(self, people: People) -> None:
        people.add({f"k{number:05d}": {"name": "Ana"} for number in range(10_050)})
        page = search(people.index, "ana", limit=9_999)
        assert (page.total, len(page.hits)) == (10_050, 9_999)
        rest = search(people.index, "ana", limit=9_999, after=page.next)
        assert (rest.total, len(rest.hits), rest.next) == (10_050, 51, None)


class TestIndices:
    def test_one_that_is_missing_names_who_fills_it(self, people: People) -> None:
        for text in ("ana", None, "?!"):
            with pytest.raises(ConfigError, match="firebase profiles"):
                search(ProfileIndex(people.index.client, "no-such-profiles"), text)

    def test_one_of_the_former_version_names_the_remedy(self, people: People) -> None:
        name = f"{people.node.prefix}old"
        mappings = people.node.mappings(NAME)
        del mappings["properties"]["folded"]
        people.node.ask("PUT", f"/{name}", {"mappings": mappings})
        people.node.fill("old", [{"id": "1", "name": "Ana"}], key="id")
        old = ProfileIndex(people.index.client, name)
        for text in ("ana", None, "?!"):
            with pytest.raises(ConfigError, match="setup migrate"):
                search(old, text)
        with pytest.raises(ConfigError, match="setup migrate"):
            suggest(old, "ana")

    def test_an_answer_without_hits_costs_one_look_at_the_index(
        self, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        people.named("Ana")
        client, asked = people.index.client, []

        def noting(method: str, path: str, *rest: Any, **more: Any) -> Answer:
            asked.append(path.rpartition("/")[2])
            return attempt(method, path, *rest, **more)

        attempt = client.attempt
        monkeypatch.setattr(client, "attempt", noting)
        assert suggest(people.index, "ana")
        assert asked == ["_search"]
        assert not suggest(people.index, "bob")
        assert asked == ["_search", "_search", "_mapping"]


NAMES = ("Ana", "Anna", "Zoë", "Łukasz", "Nguyễn", "Nguyen", "Straße", "Li", "王小明", "Coffee", "O'Neil")
TEXTS = st.lists(st.sampled_from(NAMES), max_size=3).map(" ".join)
TYPED = st.lists(st.sampled_from([*NAMES, "nguyn", "lukas", "coffe", "zoo", "*", "OR"]), min_size=1, max_size=3)


def distance(one: str, other: str) -> int:
    """The fewest typos that make `other` of `one`: a letter more, less, another one, or two swapped."""
    rows: list[list[int]] = [[*range(len(other) + 1)]]
    for at, letter in enumerate(one, 1):
        row = [at]
        for place, another in enumerate(other, 1):
            row.append(min(rows[-1][place] + 1, row[-1] + 1, rows[-1][place - 1] + (letter != another)))
            if at > 1 and place > 1 and letter == other[place - 2] and one[at - 2] == another:
                row[-1] = min(row[-1], rows[-2][place - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def is_near(word: str, text: str) -> bool:
    most = (len(word) >= 3) + (len(word) >= 6)
    return any(distance(word, another) <= most for another in words(text))


@settings(max_examples=15)
@given(people_=st.lists(st.tuples(TEXTS, TEXTS), max_size=12), typed=st.lists(TYPED.map(" ".join), max_size=6))
def test_exactly_those_are_found_who_have_every_word(
    people: People, people_: list[tuple[str, str]], typed: list[str]
) -> None:
    people.node.ask("DELETE", f"/{people.index.name}")
    people.node.ask("PUT", f"/{people.index.name}")
    if people_:
        people.add({f"p{at}": {"name": name, "bio": bio} for at, (name, bio) in enumerate(people_)})
    for text in typed:
        asked = words(text)
        near = {
            f"p{at}"
            for at, (name, bio) in enumerate(people_)
            if asked and all(is_near(word, f"{name} {bio}") for word in asked)
        }
        assert set(walk(people, text, 3)) == near, text
        *before, last = asked or [""]
        begun = {
            f"p{at}"
            for at, (name, bio) in enumerate(people_)
            if last
            and any(word.startswith(last) for word in words(name))
            and set(before) <= {*words(name), *words(bio)}
        }
        suggested = [person.id for person in suggest(people.index, text, limit=20)]
        assert len(suggested) == len(set(suggested))
        assert set(suggested) == begun, text
