"""The simulated search against the literal samples of both generations."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import requests

from harvesters.simulators.opencast.server import Episode, MediaElement
from tests.simulators.asking import Start, ask, contains

S2 = """{"search-results":{"offset":0,"limit":1,"total":1,"searchTime":5,"result":{"id":"existing-event",
"org":"mh_default_org","mediapackage":{"duration":75334,"id":"existing-event","start":"2019-09-19T07:51:00Z",
"title":"first video","series":"f5a224ff-a029-47cd-8c99-def281d8e786","seriestitle":"Blender Foundation Productions",
"creators":{"creator":"Durian Open Movie Team"},"media":{"track":{"id":"8a45","type":"mixed/preview",
"ref":"track:ff11","mimetype":"video/mp4","tags":{"tag":["atom","rss"]},"url":"https://x/a.mp4",
"checksum":{"type":"md5","$":"10b5"},"duration":75334,"live":false}},"metadata":{"catalog":{"id":"e549",
"type":"dublincore/episode","mimetype":"text/xml","tags":{"tag":"archive"},"url":"https://x"}},
"attachments":{"attachment":[{"id":"904b","type":"presentation/player+preview","ref":"track:a250",
"mimetype":"image/jpeg","tags":{"tag":"engage-download"},"url":"https://x_player.jpg","size":0},
{"id":"9639-","type":"presentation/segment+preview",
"ref":"track:a2504124-4510-4bdb-88f2-df09334387fe;time=T00:00:24:960F1000","mimetype":"image/jpeg",
"tags":{"tag":"engage-download"},"url":"https://x.jpg","size":0}]},"publications":""},"dcExtent":74900,
"dcTitle":"first video","dcDescription":"Trailer","dcCreated":"2019-09-19T09:51:00+02:00",
"dcIsPartOf":"f5a224ff-a029-47cd-8c99-def281d8e786","dcType":"L10","dcLicense":"CC0","mediaType":"AudioVisual",
"keywords":"","modified":"2019-09-19T10:02:03+02:00","score":1.5}}}"""
S2_EPISODE = Episode(
    mpid="existing-event",
    title="first video",
    duration=75334,
    extent=74900,
    start=datetime(2019, 9, 19, 7, 51, tzinfo=UTC),
    modified=datetime(2019, 9, 19, 8, 2, 3, tzinfo=UTC),
    series="f5a224ff-a029-47cd-8c99-def281d8e786",
    series_title="Blender Foundation Productions",
    type="L10",
    description="Trailer",
    creators=("Durian Open Movie Team",),
    license="CC0",
    tracks=(
        MediaElement(
            *("8a45", "mixed/preview", "https://x/a.mp4", "video/mp4", "track:ff11", ("atom", "rss")),
            md5="10b5",
            duration=75334,
            live=False,
        ),
    ),
    catalogs=(MediaElement("e549", "dublincore/episode", "https://x", "text/xml", tags=("archive",)),),
    attachments=(
        MediaElement(
            "904b",
            *("presentation/player+preview", "https://x_player.jpg", "image/jpeg", "track:a250"),
            tags=("engage-download",),
            size=0,
        ),
        MediaElement(
            *("9639-", "presentation/segment+preview", "https://x.jpg", "image/jpeg"),
            ref="track:a2504124-4510-4bdb-88f2-df09334387fe;time=T00:00:24:960F1000",
            tags=("engage-download",),
            size=0,
        ),
    ),
)


def test_sample_s2_search_from_8_to_15(opencast: Start) -> None:
    simulator = opencast(version=9, timezone="Europe/Berlin")
    simulator.add(S2_EPISODE)
    assert contains(ask(simulator, "/search/episode.json", id="existing-event"), json.loads(S2))


def test_sample_s2_up_to_7_has_string_attributes_and_escaped_slashes(opencast: Start) -> None:
    simulator = opencast(version=5)
    simulator.add(S2_EPISODE)
    text = requests.get(simulator.url + "/search/episode.json", timeout=10).text
    assert r'"url":"https:\/\/x.jpg"' in text
    found = json.loads(text)["search-results"]
    assert (found["offset"], found["total"]) == ("0", "1")
    assert found["result"]["mediapackage"]["duration"] == "75334"
    assert found["result"]["dcExtent"] == 74900


S3 = """{"result":[{"mediapackage":{"duration":4160.0,"id":"0001","start":"2024-05-07T16:24:00Z","title":"T",
"series":"e12d5290","seriestitle":"S","creators":{"creator":"Atticizing"},"media":{"track":{"id":"cd56",
"type":"presenter/preview","size":4955801.0,"live":false}},"metadata":{"catalog":{"type":"dublincore/episode",
"tags":""}},"attachments":{"attachment":[{"id":"80b3","type":"presenter/player+preview","ref":"track:5b64",
"mimetype":"image/jpeg","tags":{"tag":"engage-download"},"url":"http://x-player.jpg","size":49701.0},
{"id":"80b4","type":"presenter/search+preview"}]},
"publications":""},"org":"mh_default_org","modified":"2024-05-07T17:34:11.200Z",
"acl":[{"action":"read","allow":true,"role":"ROLE_USER"}],"type":"Episode","dc":{"extent":["PT4.160S"],
"identifier":["0001"],"creator":["Atticizing"],"created":["2024-05-07T16:24Z"],"isPartOf":["e12d5290"],
"title":["T"]}}],"total":1,"offset":0,"limit":20}"""


def test_sample_s3_search_from_16(opencast: Start) -> None:
    simulator = opencast(version=16)
    image = ("http://x-player.jpg", "image/jpeg", "track:5b64", ("engage-download",), 49701)
    episode = Episode(
        mpid="0001",
        title="T",
        duration=4160,
        start=datetime(2024, 5, 7, 16, 24, tzinfo=UTC),
        modified=datetime(2024, 5, 7, 17, 34, 11, 200_000, tzinfo=UTC),
        series="e12d5290",
        series_title="S",
        creators=("Atticizing",),
        tracks=(MediaElement("cd56", "presenter/preview", size=4955801, live=False),),
        catalogs=(MediaElement("c", "dublincore/episode"),),
        attachments=(
            MediaElement("80b3", "presenter/player+preview", *image),
            MediaElement("80b4", "presenter/search+preview"),
        ),
        public=False,
    )
    simulator.add(episode)
    assert contains(ask(simulator, "/search/episode.json"), json.loads(S3))


def test_from_16_numeric_titles_and_series_are_mangled_but_not_in_dublin_core(opencast: Start) -> None:
    simulator = opencast(version=16)
    simulator.add(Episode("m", "101", series="20160213001"))
    answer = requests.get(simulator.url + "/search/episode.json", timeout=10)
    assert '"series":2.0160213001E10' in answer.text
    (result,) = answer.json()["result"]
    assert contains(result["mediapackage"], {"title": 101.0})
    assert contains(result["dc"], {"title": ["101"], "isPartOf": ["20160213001"]})
    assert not {"duration", "start"} & result["mediapackage"].keys()


def test_an_unknown_episode_is_an_empty_result(opencast: Start) -> None:
    old, new = opencast(version=15), opencast(version=16)
    found = ask(old, "/search/episode.json", id="nowhere")["search-results"]
    assert found["total"] == 0
    assert "result" not in found
    assert ask(new, "/search/episode.json", id="nowhere") == {"offset": 0, "total": 0, "result": [], "limit": 20}


def test_admin_needs_a_login_up_to_15(opencast: Start) -> None:
    old, new = opencast(version=15), opencast(version=16)
    answer = requests.get(old.url + "/search/episode.json?admin=true", timeout=10)
    assert (answer.status_code, answer.text) == (401, "unauthorized")
    assert ask(old, "/search/episode.json", admin="true")
    assert requests.get(new.url + "/search/episode.json?admin=true", timeout=10).status_code == 200


def test_anonymous_callers_see_public_episodes_only(opencast: Start) -> None:
    simulator = opencast()
    simulator.add(Episode("open", "a"), Episode("closed", "b", public=False))
    assert requests.get(simulator.url + "/search/episode.json", timeout=10).json()["total"] == 1
    assert ask(simulator, "/search/episode.json")["total"] == 2


def test_deleted_episodes_only_in_dce_and_on_request(opencast: Start) -> None:
    for dialect, expected in (("dce", 1), ("stock", 0)):
        simulator = opencast(dialect=dialect)
        simulator.add(Episode("gone", "a", deleted=True))
        assert ask(simulator, "/search/episode.json", id="gone")["total"] == 0
        assert ask(simulator, "/search/episode.json", id="gone", includeDeleted="true")["total"] == expected
