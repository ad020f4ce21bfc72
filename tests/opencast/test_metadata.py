"""Dublin Core beyond what user actions carry, in the forms of both searches."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.opencast.metadata import metadata

PERIOD = "start=2026-01-05T14:00:00Z; end=2026-01-05T15:30:00Z; scheme=W3C-DTF;"
PLANNED = {"start_planned": "2026-01-05T14:00:00Z", "end_planned": "2026-01-05T15:30:00Z"}


class TestPeople:
    def test_up_to_15_the_media_package_knows_all_of_them(self) -> None:
        package = {
            "creators": {"creator": ["A", "B"]},
            "contributors": {"contributor": "C"},
            "subjects": {"subject": 1},
        }
        result = {"mediapackage": package, "dcCreator": "A", "dcContributor": "C", "dcPublisher": "P", "dcSubject": 1}
        assert metadata(result) == {"creator": ["A", "B"], "contributor": ["C"], "publisher": ["P"], "subject": ["1"]}

    @pytest.mark.parametrize("creators", ["", None, {}, {"creator": ""}, {"creator": []}])
    def test_where_it_knows_none_the_catalogue_does(self, creators: Any) -> None:
        assert metadata({"mediapackage": {"creators": creators}, "dcCreator": 1984}) == {"creator": ["1984"]}

    def test_from_16_on_they_are_lists(self) -> None:
        package = {"creators": {"creator": 1984.0}}
        result = {"mediapackage": package, "dc": {"creator": ["1984", "B", "C"], "subject": ["Logic"]}}
        assert metadata(result) == {"creator": ["1984", "B", "C"], "subject": ["Logic"]}

    def test_from_16_on_a_number_of_the_media_package_is_read_back(self) -> None:
        package = {"creators": {"creator": [1984.0, "B"]}}
        assert metadata({"type": "Episode", "mediapackage": package}) == {"creator": ["1984", "B"]}


class TestTexts:
    @pytest.mark.parametrize(
        "result",
        [
            {"dcLicense": "CC0", "dcLanguage": "eng", "dcSpatial": 101},
            {"mediapackage": {"license": "CC0", "language": "eng"}, "dcSpatial": "101"},
            {"dc": {"license": ["CC0"], "language": ["eng"], "spatial": ["101"]}},
        ],
    )
    def test_in_each_place(self, result: dict[str, Any]) -> None:
        assert metadata(result) == {"license": "CC0", "language": "eng", "spatial": "101"}

    @pytest.mark.parametrize("result", [{}, {"mediapackage": "", "dc": ""}, {"dcLicense": "", "dc": {"creator": []}}])
    def test_what_is_not_there_is_left_out(self, result: dict[str, Any]) -> None:
        assert metadata(result) == {}


class TestPlanned:
    @pytest.mark.parametrize("result", [{"dcTemporal": PERIOD}, {"dc": {"temporal": [PERIOD]}}])
    def test_both_times(self, result: dict[str, Any]) -> None:
        assert metadata(result) == PLANNED

    @pytest.mark.parametrize(
        ("period", "planned"),
        [
            ("start=2026-01-05T09:00:00-05:00;end=2026-01-05T15:30Z", PLANNED),
            ("start = 2026-01-05T14:00:00Z ; end = 2026-01-05T15:30:00Z ", PLANNED),
            ("end=2026-01-05T15:30:00Z; scheme=W3C-DTF;", {"end_planned": "2026-01-05T15:30:00Z"}),
            ("start=soon; end=; scheme=W3C-DTF;", {}),
            ("PT1H", {}),
            (20260105, {}),
        ],
    )
    def test_what_is_no_time_is_left_out(self, period: Any, planned: dict[str, str]) -> None:
        assert metadata({"dcTemporal": period}) == planned
