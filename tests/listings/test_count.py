"""`listings count`: the access log into the documents of a real Elasticsearch."""

from __future__ import annotations

import shutil
import threading
from math import isclose, log2
from pathlib import Path
from typing import Any

import pytest

from harvesters.listings import ranking
from harvesters.listings.totals import Totals
from harvesters.search import templates
from tests.listings.shops import MONDAY, Shop
from tests.operate.receivers import collecting

DAY = 24 * 60  # minutes


def test_views_are_counted_once(shop: Shop) -> None:
    shop.index(*"abcd")
    shop.view("a", "b", "a")
    assert shop.counted() == (3, 2, 2, 0, 0)
    assert shop.visits == {"a": 2, "b": 1, "c": None, "d": None}
    assert "visits" not in shop.cluster.documents("listings")["c"]
    assert shop.counted() == (0, 0, 0, 0, 0)
    shop.view("a", "c")
    assert shop.counted() == (2, 2, 2, 0, 0)
    assert shop.visits == {"a": 3, "b": 1, "c": 1, "d": None}
    assert shop.versions(*"abcd") == [3, 2, 2, 1]


def test_its_span_has_the_parts_of_a_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a")
    shop.view("a")
    with collecting(monkeypatch) as collector:
        shop.count()
    assert collector.parts == {"fetch", "deliver", "commit"}
    assert collector.gauges["harvest_last_run_delivered", "listings-count"] == 1


def test_the_rest_of_a_document_stays(shop: Shop) -> None:
    shop.index("a", price={"eur": 5}, origin={"offset": 7})
    shop.view("a")
    shop.count()
    document = shop.cluster.documents("listings")["a"]
    assert {name: document[name] for name in document if name != "hot"} == {
        "id": "a",
        "title": "Listing a",
        "price": {"eur": 5},
        "origin": {"offset": 7},
        "visits": 1,
    }


def test_ids_of_any_letters(shop: Shop) -> None:
    odd = ['"\\', "a/b?c#d", "x\u2028y", " ", "é" * 256, "_id", "🙂"]
    shop.index(*odd)
    shop.view(*odd, *odd)
    assert shop.counted() == (14, 7, 7, 0, 0)
    assert shop.visits == dict.fromkeys(odd, 2)


def test_hot_is_the_sum_of_views_that_fade(shop: Shop) -> None:
    """By hand, with a half-life of a day: 2^4 on Monday, 2^6 on Wednesday."""
    shop.index("a", "b")
    shop.view("a", "a", "b")
    shop.count()
    assert (shop.hot("a"), shop.hot("b")) == (5.0, 4.0)
    shop.view("a", minute=MONDAY + 2 * DAY)
    shop.count()
    assert isclose(shop.hot("a"), log2(2**4 + 2**4 + 2**6), abs_tol=1e-5)
    assert shop.hot("b") == 4.0
    assert shop.versions("b") == [2], "who has no new views is not written"


def test_another_half_life_counts_the_log_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a", "b")
    shop.view("a", "b")
    shop.view("a", minute=MONDAY + DAY)
    shop.count()
    monkeypatch.setenv("LISTINGS_HOT_HALF_LIFE", "43200")
    assert shop.counted() == (3, 2, 2, 0, 0)
    assert shop.visits == {"a": 2, "b": 1}
    assert isclose(shop.hot("a"), log2(2**8 + 2**10), abs_tol=1e-5)
    monkeypatch.setenv("LISTINGS_HOT_HALF_LIFE", "0")
    assert shop.count()[0] == 78


def test_another_half_life_needs_the_whole_log(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a")
    shop.view("a", most=4)
    shop.view("a", most=4)
    shop.count()
    shop.files.closed(1).unlink()
    shop.view("a", most=4)
    assert shop.counted() == (1, 1, 1, 0, 0)
    monkeypatch.setenv("LISTINGS_HOT_HALF_LIFE", "43200")
    assert shop.count()[0] == 78
    assert "access.log.1" in shop.said
    monkeypatch.delenv("LISTINGS_HOT_HALF_LIFE")
    shop.view("a", most=4)
    assert shop.counted() == (1, 1, 1, 0, 0)
    assert shop.visits == {"a": 4}


def test_a_lost_state_counts_nothing_twice(shop: Shop) -> None:
    shop.index(*"ab")
    for day in range(20):
        shop.view("a", "b", "a", minute=MONDAY + day * DAY + day, most=30)
    shop.count()
    before = shop.versions(*"ab")
    shop.files.counts.unlink()
    assert shop.counted() == (60, 2, 0, 2, 0)
    shop.files.counts.write_bytes(b"broken" * 100)
    assert shop.counted() == (60, 2, 0, 2, 0)
    assert shop.visits == {"a": 40, "b": 20}
    assert shop.versions(*"ab") == before


def test_only_what_the_offsets_vouch_for_counts(shop: Shop) -> None:
    shop.index("a")
    shop.view("a")
    with shop.files.path.open("ab") as file:
        file.write(b"u\ta\nu\ta")
    assert shop.counted() == (1, 1, 1, 0, 0)
    shop.view("a")
    assert shop.counted() == (1, 1, 1, 0, 0)
    assert shop.visits == {"a": 2}


def test_all_files_of_the_log_count(shop: Shop) -> None:
    shop.index("a")
    for _ in range(9):
        shop.view("a", most=8)
    assert shop.files.closed(4).exists()
    assert shop.counted() == (9, 1, 1, 0, 0)


def test_views_wait_for_their_listing(shop: Shop) -> None:
    shop.index("a")
    shop.view("a", "b", "c", "b")
    assert shop.counted() == (4, 3, 1, 0, 2)
    assert shop.counted() == (0, 0, 0, 0, 2)
    shop.index("b", "never viewed")
    assert shop.counted() == (0, 1, 1, 0, 1)
    assert shop.visits == {"a": 1, "b": 2, "never viewed": None}
    shop.view("c")
    assert shop.counted() == (1, 1, 0, 0, 1)
    shop.index("c")
    assert shop.counted() == (0, 1, 1, 0, 0)
    assert shop.visits["c"] == 2


def test_a_listing_that_comes_back_has_its_views(shop: Shop) -> None:
    shop.index("a", "b")
    shop.view("a", "a", "b")
    shop.count()
    shop.cluster.ask("DELETE", f"/{shop.cluster.name('listings')}/_doc/a")
    assert shop.counted() == (0, 0, 0, 0, 0)
    shop.index("a")
    assert shop.counted() == (0, 1, 1, 0, 0)
    shop.index("b")  # written whole by somebody who does not keep what is ours
    assert shop.counted() == (0, 1, 1, 0, 0)
    assert shop.visits == {"a": 2, "b": 1}


def test_there_may_be_many_new_listings(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_PAGE", 3)
    names = [str(number) for number in range(20)]
    shop.index("first")
    shop.view("first", *names[::2])
    assert shop.counted() == (11, 11, 1, 0, 10)
    shop.index(*names)
    assert shop.counted() == (0, 10, 10, 0, 0)
    assert [shop.visits[name] for name in names] == [1, None] * 10


def test_an_index_of_several_shards(shop: Shop) -> None:
    """Each counts its changes by itself, and one may have had none."""
    settings = {"number_of_shards": 3, "number_of_replicas": 0}
    body = {"mappings": templates.find("listings").mappings, "settings": settings}
    shop.cluster.ask("PUT", f"/{shop.cluster.name('listings')}", body)
    names = [str(number) for number in range(12)]
    shop.index("0")
    shop.view(*names)
    assert shop.counted() == (12, 12, 1, 0, 11)
    for name in names[1:]:
        shop.index(name)
        assert shop.counted()[1:3] == (1, 1)
    assert shop.visits == dict.fromkeys(names, 1)


def test_views_wait_for_the_index(shop: Shop) -> None:
    shop.view("a", "b")
    assert shop.counted() == (2, 2, 0, 0, 2)
    assert not shop.cluster.exists("listings"), "nothing made an index without its mapping"
    shop.index("a")
    assert shop.counted() == (0, 2, 1, 0, 1)
    shop.cluster.ask("DELETE", f"/{shop.cluster.name('listings')}")
    assert shop.counted() == (0, 2, 0, 0, 2)
    shop.index("a", "b", "c")
    assert shop.counted() == (0, 2, 2, 0, 0)
    assert shop.visits == {"a": 1, "b": 1, "c": None}


def test_an_index_that_is_made_anew_gets_everything(shop: Shop) -> None:
    """With more changes than there were of the one before, so that their numbers do not tell."""
    shop.index("a", "b")
    shop.view("a", "b")
    shop.count()
    shop.cluster.ask("DELETE", f"/{shop.cluster.name('listings')}")
    shop.index("a", "b", *(str(number) for number in range(10)))
    assert shop.counted() == (0, 2, 2, 0, 0)
    assert (shop.visits["a"], shop.visits["b"]) == (1, 1)


def test_an_index_that_was_put_back_to_what_it_was_gets_everything(shop: Shop) -> None:
    """As from a snapshot: it is the same one, with fewer changes than were seen of it."""
    shop.index("a", "b")
    shop.view("a", "b")
    shop.count()
    shop.count()
    with Totals(shop.files.counts) as totals:
        totals.searched(1000)
    shop.index("a", visits=7)
    assert shop.counted() == (0, 2, 1, 1, 0)
    assert shop.visits == {"a": 1, "b": 1}
    assert shop.counted() == (0, 0, 0, 0, 0)


def test_an_index_that_is_removed_at_the_last_moment_loses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a")
    shop.view("a")
    write = ranking.Ranking.write

    def late(self: ranking.Ranking, batch: Any) -> Any:
        shop.cluster.ask("DELETE", f"/{shop.cluster.name('listings')}")
        return write(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ranking.Ranking, "write", late)
        assert shop.counted() == (1, 1, 0, 0, 1)
    shop.index("a")
    assert shop.counted() == (0, 1, 1, 0, 0)


def test_a_write_in_between_is_not_undone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changes the title at the same time, over and over: no title is lost, and the views get in."""
    shop.index("a")
    done = threading.Event()
    titles = 0

    def rename() -> None:
        nonlocal titles
        while not done.is_set():
            titles += 1
            path = f"/{shop.cluster.name('listings')}/_update/a"
            shop.cluster.ask("POST", path, {"doc": {"title": f"Title {titles}"}}, params={"retry_on_conflict": 20})

    thread = threading.Thread(target=rename)
    thread.start()
    try:
        for _ in range(10):
            shop.view("a")
            assert shop.counted()[:3] == (1, 1, 1)
    finally:
        done.set()
        thread.join()
    document = shop.cluster.documents("listings")["a"]
    assert (document["title"], document["visits"]) == (f"Title {titles}", 10)


def test_another_log_is_counted_from_its_own_beginning(shop: Shop, tmp_path: Path) -> None:
    """It may be longer than the one before, whose state was left."""
    shop.index("a", "b")
    shop.view("a", "b")
    shop.count()
    state = shop.files.counts.read_bytes()
    shutil.rmtree(shop.state)
    shop.view("b", "b", "b")
    shop.files.counts.write_bytes(state)
    assert shop.counted() == (3, 1, 1, 0, 0)
    assert shop.visits == {"a": 1, "b": 3}


def test_a_log_that_was_restored_is_counted_anew(shop: Shop, tmp_path: Path) -> None:
    shop.index("a")
    shop.view("a")
    shutil.copytree(shop.state, tmp_path / "backup")
    shop.view("a", "a")
    shop.count()
    for path in (shop.files.path, shop.files.offsets, shop.files.times):
        shutil.copy(tmp_path / "backup" / path.name, path)
    assert shop.counted() == (1, 1, 1, 0, 0)
    assert shop.visits == {"a": 1}


def test_without_a_log_there_is_nothing_to_count(shop: Shop) -> None:
    shop.index("a")
    assert shop.counted() == (0, 0, 0, 0, 0)
    assert "no access log" in shop.said
    shop.files.path.write_text("u\ta\n")
    assert shop.count()[0] == 78


def test_an_index_that_does_not_take_the_fields_is_78_and_the_others_are_written(shop: Shop) -> None:
    mapping = {"properties": {"visits": {"type": "long"}, "hot": {"type": "double"}, "title": {"type": "keyword"}}}
    shop.cluster.create("listings", {**mapping, "dynamic": "strict"})
    shop.cluster.fill_by_id("listings", [{"title": "a"}], ids=["a"])
    shop.view("a")
    assert shop.counted() == (1, 1, 1, 0, 0)
    shop.cluster.ask("DELETE", f"/{shop.cluster.name('listings')}")
    shop.cluster.create("listings", {"properties": {"title": {"type": "keyword"}}, "dynamic": "strict"})
    shop.cluster.fill_by_id("listings", [{"title": "a"}], ids=["a"])
    assert shop.count()[0] == 78
    assert "index_templates/listings.json" in shop.said
