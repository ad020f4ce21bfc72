"""Searching listings, in a real Elasticsearch."""

from __future__ import annotations

import math
from string import ascii_lowercase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.listings.search import Order, search
from harvesters.listings.searchindex import ListingIndex, Lost, NoIndex, OtherForm
from harvesters.search import templates
from harvesters.standins.elasticsearch import Elasticsearch
from tests.listings.shelf import (
    Shelf,
    shelf,  # noqa: F401  (a fixture)
)
from tests.nodes import Node
from tests.servers import running

# ruff: noqa: F811  (pytest's fixtures)

UNSEEN = math.log10(1.1)


class TestWords:
    def test_every_word_is_in_title_or_description(self, shelf: Shelf) -> None:
        shelf.add(
            {"id": 1, "title": "Used MacBook Air", "description": "in great condition"},
            {"id": 2, "title": "MacBook", "description": "used, with a charger"},
            {"id": 3, "title": "Air pump", "description": "used"},
            {"id": 4, "title": "MacBook"},
            {"id": 5, "description": "an air conditioner"},
        )
        assert {*shelf.find("macbook")} == {*shelf.find("MACBOOK!")} == {"4", "2", "1"}
        assert shelf.find("macbook used") == shelf.find("used, (macbook)") == ["2", "1"]
        assert shelf.find("air great") == ["1"]
        assert shelf.find("macbook pump") == []

    def test_a_typo_is_found_after_what_is_exact(self, shelf: Shelf) -> None:
        shelf.titled("macbok", "makbook", "mcabok pro")
        shelf.titled("macbook", description="the last that comes with macbook, after a long text of many other words")
        assert shelf.find("macbook")[0] == "macbook"
        assert {*shelf.find("macbook")} == {"macbook", "macbok", "makbook", "mcabok pro"}

    def test_what_is_exact_comes_first_however_often_a_typo_is_viewed(self, shelf: Shelf) -> None:
        shelf.titled("lamb", "red lamb", visits=10**9)
        shelf.titled(*(f"the red lamp {number}" for number in range(5)))
        assert [id[-4:] for id in shelf.find("red lamp")][-1] == "lamb"
        assert len(shelf.find("lamp")) == 7
        assert {*shelf.find("lamp")[-2:]} == {"lamb", "red lamb"}

    def test_among_typos_more_exact_words_come_first(self, shelf: Shelf) -> None:
        shelf.titled("wodden tabel", "wooden tabel", "wodden tabel again")
        assert shelf.find("wooden table")[0] == "wooden tabel"

    def test_every_neighbour_is_found_however_many_there_are(self, shelf: Shelf) -> None:
        neighbours = {f"{'backs'[:at]}{letter}{'backs'[at + 1 :]}" for at in range(5) for letter in ascii_lowercase}
        shelf.titled(*neighbours, "bakes")
        assert search(shelf.index, "backs", limit=1).total == len(neighbours) == 5 * 25 + 1

    def test_short_words_have_no_typos(self, shelf: Shelf) -> None:
        shelf.titled("tv", "tx", "pen", "pan", "table")
        assert shelf.find("tv") == ["tv"]
        assert {*shelf.find("pen")} == {"pen", "pan"}
        assert shelf.find("tabel") == ["table"]  # swapped neighbours are one typo
        assert shelf.find("xabel") == []

    def test_accents_matter_as_letters_do_and_case_does_not(self, shelf: Shelf) -> None:
        shelf.titled("Żółw", "ÉCLAIR", "Tür")
        assert shelf.find("żółw") == ["Żółw"]
        assert shelf.find("zolw") == []  # three letters
        assert shelf.find("eclair") == ["ÉCLAIR"]  # a typo
        assert shelf.find("tur") == ["Tür"]

    def test_without_a_text_everything_is_found_and_without_a_letter_nothing(self, shelf: Shelf) -> None:
        shelf.titled("a", "b", "🙂")
        assert {*shelf.find("")} == {"a", "b", "🙂"}
        for text in ("***", "   ", '"', "🙂", "_", "-/-", "\x00"):
            assert [shelf.find(text, order) for order in Order] == [[], [], []], text

    @pytest.mark.parametrize(
        "text",
        [
            'macbook"',
            "mac(book",
            "title:macbook",
            "macbook AND",
            "macbook~2 ^3",
            "/macbook/",
            "{macbook}",
            "_exists_:title",
            "*",
            "mac*",
            "<script>",
            "a" * 256,
            "ab " * 85,
            "\ud800",
        ],
    )
    def test_a_text_is_only_ever_a_text(self, text: str, shelf: Shelf) -> None:
        shelf.titled("macbook")
        words = {'macbook"', "/macbook/", "{macbook}"}
        assert shelf.find(text) == (["macbook"] if text in words else [])

    @settings(max_examples=40)
    @given(text=st.text(max_size=256), order=st.sampled_from(Order))
    def test_whatever_is_typed_there_is_an_answer(self, shelf: Shelf, text: str, order: Order) -> None:
        search(shelf.index, text, order)


class TestRanking:
    def test_the_score_is_that_of_the_text_times_the_logarithm_of_the_views(self, shelf: Shelf) -> None:
        visits = {"a": 99, "b": 9, "c": 1, "d": None, "e": 10**6}
        for id, number in visits.items():
            shelf.add({"id": id, "title": "green lamp", **({} if number is None else {"visits": number})})
        shelf.titled("red chair", "blue table", "old desk")
        hits = search(shelf.index, "lamp").hits
        assert [hit.id for hit in hits] == ["e", "a", "b", "c", "d"]
        assert [hit.visits for hit in hits] == [10**6, 99, 9, 1, 0]
        bm25 = 2.2 * math.log(1 + (8 - 5 + 0.5) / (5 + 0.5)) / (1 + 1.2)  # all titles are two words long
        if str(shelf.node.product).startswith("opensearch 3"):  # without the factor that all scores have in common
            bm25 /= 2.2
        factors = [math.log10(1 + 10**6), 2, 1, math.log10(2), UNSEEN]
        assert [hit.score for hit in hits] == pytest.approx([bm25 * factor for factor in factors], rel=1e-5)

    def test_a_stored_0_counts_as_never_viewed(self, shelf: Shelf) -> None:
        shelf.add(
            {"id": "once", "title": "lamp", "visits": 1},
            {"id": "zero", "title": "lamp", "visits": 0},
            {"id": "zero, long", "title": "lamp and much else that makes it less of a lamp", "visits": 0},
            {"id": "less", "title": "lamp", "visits": -5},
        )
        found = shelf.find("lamp")
        assert (found[0], sorted(found[1:3]), found[3]) == ("once", ["less", "zero"], "zero, long")
        assert [hit.visits for hit in search(shelf.index, "lamp").hits] == [1, 0, 0, 0]

    def test_orders(self, shelf: Shelf) -> None:
        shelf.add(
            {"id": "old and hot", "title": "lamp", "created": "2026-01-01T00:00:00Z", "hot": 7.5, "visits": 2},
            {"id": "new", "title": "lamp", "created": "2026-03-01"},
            {"id": "warm", "title": "lamp", "created": "2026-02-01", "hot": -3.25, "visits": 1},
            {"id": "newer than that", "title": "lamp", "created": "2026-02-02"},
            {"id": "a desk", "title": "desk", "created": "2026-02-02"},
        )
        assert shelf.find("lamp", Order.HOT) == ["old and hot", "warm", "new", "newer than that"]
        assert shelf.find("lamp", Order.NEW) == ["new", "newer than that", "warm", "old and hot"]
        assert shelf.find("lamp", Order.RELEVANCE) == ["old and hot", "warm", "new", "newer than that"]
        assert {hit.score for hit in search(shelf.index, "lamp", Order.HOT).hits} == {None}

    def test_without_a_text_popular_ones_come_first_and_then_new_ones(self, shelf: Shelf) -> None:
        shelf.titled("seen", visits=3, created="2026-01-01")
        shelf.titled("new", created="2026-02-01")
        shelf.titled("old", created="2026-01-01")
        assert shelf.find("") == ["seen", "new", "old"]


class TestWalk:
    @pytest.mark.parametrize("order", Order)
    def test_pages_hold_each_listing_once_while_others_come_and_change(self, order: Order, shelf: Shelf) -> None:
        """Ties too, and those that were never viewed, and those without a time."""
        for number in range(53):
            more: dict[str, Any] = {"visits": number // 10, "hot": number / 3} if number % 2 else {}
            more |= {"created": f"2026-01-{1 + number % 7:02}"} if number % 3 else {}
            shelf.add({"id": str(number), "title": f"lamp{' red' * (number % 4)}", **more})
        expected = shelf.find("lamp", order, limit=100)
        seen: list[str] = []
        for page in shelf.walk("lamp", order, limit=5):
            seen += [hit.id for hit in page.hits]
            assert (page.total, page.exact) == (53, True)
            shelf.add({"id": f"x{len(seen)}", "title": "lamp", "visits": 10**6, "hot": 99, "created": "2027-01-01"})
            shelf.add({"id": seen[0], "title": "desk"}, {"id": "52", "title": "lamp", "visits": 10**7, "hot": 200})
            shelf.node.ask("DELETE", f"/{shelf.name}/_doc/7", accept=(404,), params={"refresh": "true"})
        assert seen == expected
        assert len({*seen}) == 53

    @pytest.mark.parametrize("order", Order)
    def test_a_walk_goes_past_the_10000th(self, order: Order, shelf: Shelf) -> None:
        shelf.add(*({"id": number, "title": "lamp", "visits": number % 5 or None} for number in range(10_003)))
        pages = [*shelf.walk("lamp", order, limit=2_000)]
        assert len({hit.id for page in pages for hit in page.hits}) == 10_003
        assert {(page.total, page.exact) for page in pages} == {(10_000, False)}
        assert [len(page.hits) for page in pages] == [2000] * 5 + [3]

    def test_10000_are_counted_exactly(self, shelf: Shelf) -> None:
        shelf.add(*({"id": number, "title": "lamp"} for number in range(10_000)))
        found = search(shelf.index, "lamp", limit=1)
        assert (found.total, found.exact) == (10_000, True)

    def test_a_page_may_be_asked_for_again(self, shelf: Shelf) -> None:
        shelf.titled(*"abcde")
        first = search(shelf.index, "", limit=2)
        second, again = (search(shelf.index, "", limit=2, after=first.next) for _ in range(2))
        assert second.hits == again.hits
        third = [search(shelf.index, "", limit=2, after=page.next) for page in (second, again)]
        assert third[0].hits == third[1].hits
        assert [len(page.hits) for page in third] == [1, 1]

    def test_a_search_of_one_page_leaves_nothing_open(self, shelf: Shelf) -> None:
        shelf.titled(*"abcde")
        before = shelf.open_moments()
        search(shelf.index, "", limit=5)
        search(shelf.index, "nothing")
        assert shelf.open_moments() == before
        page = search(shelf.index, "", limit=4)
        assert shelf.open_moments() == before + 1
        assert page.next is not None
        shelf.index.close(page.next[0])

    def test_a_moment_that_is_over_is_lost(self, shelf: Shelf) -> None:
        shelf.titled(*"abcde")
        following = search(shelf.index, "", limit=2).next
        assert following is not None
        shelf.index.close(following[0])
        with pytest.raises(Lost):
            search(shelf.index, "", limit=2, after=following)
        following = search(shelf.index, "", limit=2).next
        shelf.node.ask("DELETE", f"/{shelf.name}")
        with pytest.raises(Lost):
            search(shelf.index, "", limit=2, after=following)

    def test_a_moment_does_not_outlive_the_node(self) -> None:
        with running(Elasticsearch()) as server:
            shelf = Shelf(Node(server.url))
            shelf.node.load("listings")
            shelf.titled(*"abcde")
            following = search(shelf.index, "", limit=2).next
            server.kill()
            server.start()
            with pytest.raises(Lost):
                search(shelf.index, "", limit=2, after=following)
            assert len(shelf.find("")) == 5
            shelf.index.client.close()


class TestIndex:
    def test_without_an_index_it_says_so(self, shelf: Shelf) -> None:
        index = ListingIndex(shelf.index.client, f"{shelf.name}-none")
        with pytest.raises(NoIndex, match="listings index"):
            search(index, "lamp")
        with pytest.raises(NoIndex):
            index.get("1", ["title"])

    @pytest.mark.parametrize("order", Order)
    def test_an_index_that_is_not_ours_says_so(self, order: Order, shelf: Shelf) -> None:
        """As Elasticsearch makes one by itself."""
        name = f"{shelf.node.prefix}other"
        shelf.node.fill("other", [{"id": 42, "title": "MacBook", "description": "used", "visits": 0}], key="id")
        with pytest.raises(OtherForm, match="LISTINGS_INDEX"):
            search(ListingIndex(shelf.index.client, name), "macbook", order)

    @pytest.mark.parametrize("order", Order)
    def test_an_index_with_our_fields_but_no_words_says_so(self, order: Order, shelf: Shelf) -> None:
        mapping = templates.find("listings").mappings["properties"]
        fields = {
            name: {"type": mapping[name]["type"]} for name in ("title", "description", "created", "visits", "hot")
        }
        name = f"{shelf.node.prefix}other"
        shelf.node.ask("PUT", f"/{name}", {"mappings": {"dynamic": False, "properties": fields}})
        shelf.node.fill("other", [{"id": 42, "title": "lamp"}], key="id")
        with pytest.raises(OtherForm):
            search(ListingIndex(shelf.index.client, name), "lamp", order)

    def test_an_alias_is_as_good_as_the_name(self, shelf: Shelf) -> None:
        shelf.titled("lamp")
        alias = f"{shelf.node.prefix}alias"
        shelf.node.ask("POST", "/_aliases", {"actions": [{"add": {"index": shelf.name, "alias": alias}}]})
        index = ListingIndex(shelf.index.client, alias)
        assert [hit.id for hit in search(index, "lamp").hits] == ["lamp"]
        assert index.get("lamp", ["title"]) == {"title": "lamp"}

    @pytest.mark.parametrize("id", ["a/b", "..", ".", "%2e%2e", " x ", "é", "?#", "\\", "a" * 512, "<b>", "//"])
    def test_a_listing_of_any_id_is_found(self, id: str, shelf: Shelf) -> None:
        shelf.titled(id)
        assert shelf.index.get(id, ["title"]) == {"title": id}
        assert shelf.index.get(f"{id}x", ["title"]) is None
        assert shelf.find("") == [id]

    def test_a_listing_is_found_before_searches_see_it(self, shelf: Shelf) -> None:
        shelf.node.ask("PUT", f"/{shelf.name}/_doc/1", {"title": "lamp"})
        assert shelf.index.get("1", ["title"]) == {"title": "lamp"}
        assert shelf.index.get("", ["title"]) is None

    def test_fields_of_other_types_are_shown_all_the_same(self, shelf: Shelf) -> None:
        """A document of a message that our rules would not take, as another program may have put it there."""
        shelf.add({"id": 1, "title": 5, "description": ["lamp"], "created": 1_760_000_000_000, "visits": 3})
        (hit,) = search(shelf.index, "lamp").hits
        assert (hit.title, hit.created, hit.visits) == ("5", "1760000000000", 3)

    def test_what_no_message_says_of_our_fields_is_not_searched(self, shelf: Shelf) -> None:
        shelf.add({"id": 1, "title": "desk", "words": "lamp", "origin": {"topic": "lamp", "offset": 3}})
        assert shelf.find("lamp") == []
        assert shelf.find("desk") == ["1"]
