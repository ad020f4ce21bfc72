from __future__ import annotations

from typing import Any

import pytest

from harvesters.profiles.suggest import suggest
from tests.profiles.conftest import People


def names(people: People, text: str, **options: Any) -> list[str]:
    return [person.name for person in suggest(people.index, text, **options)]


def test_one_of_the_names_begins_with_the_last_word(people: People) -> None:
    people.named("Linh Nguyễn", "Ngu Yen", "Ana Park", "Hangu", Somebody="nguyen")
    assert names(people, "ngu") == ["Ngu Yen", "Linh Nguyễn"]
    assert names(people, "N") == ["Linh Nguyễn", "Ngu Yen"]
    assert names(people, "nguyen") == ["Linh Nguyễn"]
    assert names(people, "nguyenx") == []


@pytest.mark.parametrize("text", ["łu", "LU", "lu", "Lú", "lu ", "lu*", '"lu'])
def test_beginnings_are_folded(people: People, text: str) -> None:
    people.named("Łukasz", "Ana")
    assert names(people, text) == ["Łukasz"]


def test_the_words_before_it_are_had_in_name_or_bio(people: People) -> None:
    people.named("Linh Nguyen", "Minh Nguyen", Lina="Coffee")
    assert names(people, "nguyen l") == ["Linh Nguyen"]
    assert names(people, "Linh nguy") == ["Linh Nguyen"]
    assert names(people, "coffee l") == ["Lina"]
    assert names(people, "coff l") == [], "what stands before the last word is whole"
    assert names(people, "nguyen coffee l") == []


def test_each_person_comes_once(people: People) -> None:
    people.named("Ana Anna Anastasia Anton")
    assert names(people, "an") == ["Ana Anna Anastasia Anton"]
    assert names(people, "ana an") == ["Ana Anna Anastasia Anton"]


def test_a_whole_name_comes_before_a_longer_one_and_then_it_goes_by_name(people: People) -> None:
    people.named("Adam Lindgren", "Lina", "Zhang Li", "Li Wei", "Álvaro Lima")
    assert names(people, "li") == ["Li Wei", "Zhang Li", "Adam Lindgren", "Álvaro Lima", "Lina"]
    assert names(people, "li", limit=2) == ["Li Wei", "Zhang Li"]


def test_a_beginning_may_be_longer_than_those_that_are_indexed(people: People) -> None:
    people.named("Wolfeschlegelsteinhausenbergerdorff", "Wolfeschlegel")
    assert names(people, "wolfeschlegelst") == ["Wolfeschlegelsteinhausenbergerdorff"]


def test_filters_are_exact_ids(people: People) -> None:
    people.add(
        {
            "1": {"name": "Ana One", "schools": {"osu_edu": {}}, "classes": {"c": {}}},
            "2": {"name": "Ana Two", "schools": {"osu_edu": {}}},
        }
    )
    assert names(people, "ana", school="osu_edu") == ["Ana One", "Ana Two"]
    assert names(people, "ana", school="osu_edu", class_id="c") == ["Ana One"]
    assert names(people, "ana", school="osu") == []


def test_what_is_shown_is_id_name_and_schools(people: People) -> None:
    people.add({"1": {"name": "Ana", "email": "a@example.edu", "schools": {"osu_edu": {}}}})
    (person,) = suggest(people.index, "an")
    assert (person.id, person.name, person.school_ids) == ("1", "Ana", ["osu_edu"])
    assert "example" not in str(person)
