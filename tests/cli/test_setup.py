"""``setup``: load_index_templates, prune, migrate, as a user gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.migration.ledger import Ledger
from harvesters.search import templates
from tests.cli.conftest import Command
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.clocks import FakeClock
from tests.migration.test_run import NEWEST, old
from tests.way import way

NAMES = sorted(template.name for template in templates.read())


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        monkeypatch.setenv("ES_HOST", cluster.url)
        yield cluster


class TestLoadIndexTemplates:
    def test_it_says_what_is_new_and_then_that_nothing_is(self, harvest: Command, cluster: Cluster) -> None:
        first = harvest("setup", "load_index_templates")
        assert first.code == 0
        assert "has no I" in first.out
        for name in NAMES:
            assert f"{name}: new (version " in first.out
        second = harvest("setup", "load-index-templates")
        assert second.out.count(": unchanged (version ") == len(NAMES)
        assert set(cluster.ask("GET", "/_index_template/*")["index_templates"][0]) == {"name", "index_template"}

    def test_a_dry_run_shows_the_difference_and_puts_nothing(self, harvest: Command, cluster: Cluster) -> None:
        result = harvest("setup", "load_index_templates", "--dry-run")
        assert result.code == 0
        assert "useractions: would be new" in result.out
        assert "+ template.mappings.properties.is_live.type=boolean" in result.out
        assert cluster.ask("GET", "/_index_template/useractions", accept=(404,)).get("status") == 404

    def test_one_older_than_the_clusters_is_named_and_ends_with_78(self, harvest: Command, cluster: Cluster) -> None:
        ours = templates.find("meetings")
        body = {**ours.on(cluster.product).body, "version": 99}
        cluster.ask("PUT", "/_index_template/meetings", body)
        result = harvest("setup", "load_index_templates")
        assert result.code == 78
        assert f"meetings: left out, version {ours.version} is older than the cluster's 99" in result.out
        assert "newer versions: meetings" in result.err
        assert "useractions: new" in result.out
        assert cluster.ask("GET", "/_index_template/meetings")["index_templates"][0]["index_template"]["version"] == 99

    def test_a_directory_without_templates(self, harvest: Command, cluster: Cluster, tmp_path: Path) -> None:
        assert harvest("setup", "load_index_templates", "--directory", str(tmp_path)).code == 78
        (tmp_path / "broken.json").write_text("{")
        result = harvest("setup", "load_index_templates", "--directory", str(tmp_path))
        assert result.code == 78
        assert "broken.json cannot be read" in result.err

    def test_nobody_there(self, harvest: Command) -> None:
        result = harvest("setup", "load_index_templates", "-e", "127.0.0.1:1", env={"HARVEST_RETRY_BUDGET": "0"})
        assert result.code == 69
        assert "elasticsearch at 127.0.0.1:1: no answer" in result.err


class TestPrune:
    def test_old_days_go_and_nothing_else(self, harvest: Command, cluster: Cluster) -> None:
        for name in (cluster.index(1), cluster.index(2), f"{cluster.prefix}copy"):
            cluster.ask("PUT", f"/{name}")
        dry = harvest("setup", "prune", "--older-than", "20000d", "--dry-run")
        assert f"would remove {cluster.index(1)}\n" in dry.out
        assert cluster.ask("GET", f"/{cluster.index(1)}")
        result = harvest("setup", "prune", "--older-than", "20000d")
        assert f"removed {cluster.index(2)}\n" in result.out
        left = [index["name"] for index in cluster.ask("GET", f"/_resolve/index/{cluster.prefix}*")["indices"]]
        assert left == [f"{cluster.prefix}copy"]

    def test_indices_of_a_stack_go_where_it_is_named_and_what_is_left_is_said(
        self, harvest: Command, cluster: Cluster
    ) -> None:
        date = f"{cluster.month.replace('-', '.')}.05"
        mine, other = f"useractions-my-stack-{date}", f"useractions-other-{date}"
        names = [mine, other, f"useractions-{date}-backup"]
        for name in names:
            cluster.ask("PUT", f"/{name}")
        try:
            result = harvest("setup", "prune", "--older-than", "20000d", env={"HARVEST_STACKS": "x, my-stack"})
            left = cluster.ask("GET", f"/_resolve/index/useractions-*{date}*")["indices"]
        finally:
            for name in names:
                cluster.ask("DELETE", f"/{name}", accept=(404,))
        assert [index["name"] for index in left] == sorted([other, f"useractions-{date}-backup"])
        assert f"removed {mine}\n" in result.out
        assert f"left {other}: the stack 'other' is not named in HARVEST_STACKS\n" in result.out
        assert f"left useractions-{date}-backup: its name is not exactly useractions-YYYY.MM.DD\n" in result.out

    def test_what_a_migration_swaps_that_moment_goes_too(self, harvest: Command, cluster: Cluster) -> None:
        name, copy = cluster.index(1), f"migrated-0005-{cluster.index(1)}"
        for index in (name, cluster.index(2), copy):
            cluster.ask("PUT", f"/{index}")

        def swapping(path: str, asked: bytes, _: bytes) -> int | None:
            if path == f"/{name}" and cluster.ask("GET", f"/{name}").get(name):
                actions = [{"remove_index": {"index": name}}, {"add": {"index": copy, "alias": name}}]
                cluster.ask("POST", "/_aliases", {"actions": actions})
            return None

        try:
            with way(cluster.url, swapping) as elasticsearch:
                result = harvest("setup", "prune", "--older-than", "20000d", env={"ES_HOST": elasticsearch.url})
            left = cluster.ask("GET", f"/_resolve/index/*{cluster.prefix}*")
        finally:
            cluster.ask("DELETE", f"/{copy}", accept=(404,))
        assert result.code == 0, result.err
        assert left["indices"] == left["aliases"] == []

    def test_one_that_is_blocked_does_not_keep_the_next_from_its_turn(self, harvest: Command, cluster: Cluster) -> None:
        for number in (1, 2, 3):
            cluster.ask("PUT", f"/{cluster.index(number)}")
        blocks = f"/{cluster.index(2)}/_settings"
        cluster.ask("PUT", blocks, {"index.blocks.read_only": True})
        try:
            result = harvest("setup", "prune", "--older-than", "20000d")
            left = [index["name"] for index in cluster.ask("GET", f"/_resolve/index/{cluster.prefix}*")["indices"]]
        finally:
            cluster.ask("PUT", blocks, {"index.blocks.read_only": None})
        assert result.code == 69
        assert left == [cluster.index(2)]
        assert f"not removed: {cluster.index(2)}\n" in result.out
        assert f"1 indices were not removed: {cluster.index(2)}: cluster_block_exception" in result.err

    def test_closed_ones_go_and_one_with_a_name_like_a_pattern_is_that_name(
        self, harvest: Command, cluster: Cluster
    ) -> None:
        odd = f"{cluster.index(2)}%2a"
        for index in (cluster.index(1), cluster.index(2), odd):
            cluster.ask("PUT", f"/{paths.name(index)}")
        cluster.ask("POST", f"/{cluster.index(1)}/_close")
        try:
            result = harvest("setup", "prune", "--older-than", "20000d", env={"HARVEST_STACKS": "*, %2a, .."})
            path = f"/_resolve/index/{cluster.prefix}*?expand_wildcards=open,closed"
            left = [index["name"] for index in cluster.ask("GET", path)["indices"]]
        finally:
            cluster.ask("DELETE", f"/{paths.name(odd)}")
        assert result.code == 0, result.err
        assert left == [odd]
        assert f"left {odd}: its name is not exactly" in result.out

    def test_an_age_from_before_the_calendar_is_one(self, harvest: Command, cluster: Cluster) -> None:
        cluster.ask("PUT", f"/{cluster.index(1)}")
        result = harvest("setup", "prune", "--older-than", "999999d")
        assert result.code == 0, result.err
        assert cluster.ask("GET", f"/{cluster.index(1)}")

    def test_what_is_left_is_named_by_any_older_date_however_spelled(self, harvest: Command, cluster: Cluster) -> None:
        day = f"{cluster.month}-05"
        old = [f"useractions-{day}", f"{cluster.index(5)}-restored-2099.01.01", f"meetings-{cluster.month}"]
        other = ["useractions-2099.01.01-restored", f"sessions-1{day}", f"sessions-{day[:7]}-99"]
        for name in [*old, *other]:
            cluster.ask("PUT", f"/{name}")
        try:
            result = harvest("setup", "prune", "--older-than", "20000d")
        finally:
            for name in [*old, *other]:
                cluster.ask("DELETE", f"/{name}", accept=(404,))
        left = [line.split(":")[0].removeprefix("left ") for line in result.out.splitlines() if line[:5] == "left "]
        assert sorted({*old, *other} & {*left}) == sorted(old)

    @pytest.mark.parametrize("days", ["", "0", "-1d", "4w", "soon"])
    def test_a_bad_age_is_usage(self, harvest: Command, days: str) -> None:
        assert harvest("setup", "prune", "--older-than", days).code == 2

    def test_the_age_must_be_said(self, harvest: Command) -> None:
        assert harvest("setup", "prune").code == 2


class TestMigrate:
    def test_there_and_back_again(self, harvest: Command, cluster: Cluster) -> None:
        name = cluster.index(1)
        cluster.fill("01", [old(number, live=number % 2) for number in range(30)])
        dry = harvest("setup", "migrate", "--dry-run")
        assert f"{name}: would copy 30 documents and change 30 of them" in dry.out
        assert cluster.ask("GET", f"/{name}")[name]
        result = harvest("setup", "migrate")
        assert result.code == 0
        assert f"{name}: copied 30 documents, changed 30; it is now an alias of migrated-{NEWEST}-{name}" in result.out
        assert cluster.count("01") == 30
        assert "nothing to migrate" in harvest("setup", "migrate").out
        assert harvest("setup", "migrate", "--undo", "1").code == 0
        assert cluster.hits("01")[0]["_source"]["episode"]["cdn"] == "13001"

    def test_one_that_cannot_be_undone_says_why(self, harvest: Command, cluster: Cluster) -> None:
        result = harvest("setup", "migrate", "--undo", "2")
        assert result.code == 78
        assert "cannot be undone" in result.err

    def test_one_that_is_not_there_is_usage(self, harvest: Command) -> None:
        assert harvest("setup", "migrate", "--undo", "99").code == 2

    def test_while_another_one_migrates_it_is_75(self, harvest: Command, cluster: Cluster) -> None:
        client: SearchClient = cluster.client()
        ledger = Ledger(client, FakeClock())
        ledger.prepare()
        lease = ledger.lease(60)
        lease.clock.advance(10**9)  # type: ignore[attr-defined]
        holder = lease.acquire()
        result = harvest("setup", "migrate")
        lease.release()
        client.close()
        assert result.code == 75
        assert str(holder.owner.pid) in result.err


def test_templates_are_json_that_people_can_read() -> None:
    for template in templates.read():
        text = (templates.directory() / f"{template.name}.json").read_text()
        assert text == json.dumps(template.body, indent=2) + "\n"
