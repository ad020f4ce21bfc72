"""The simulated Realtime Database over loopback: reading, querying, refusing, editing, and who is let in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.firebase.pushid import push_ms
from harvesters.simulators.firebase.order import key_rank
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.firebase.tree import grow, shape

NOW = 1_450_000_000.0
SECRET = "the-secret"
Get = Callable[..., requests.Response]


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def firebase(clock: Clock) -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(
        secret=SECRET, now=clock, rules={"/scores": ["n", "who/name"], "/plain": [".value"]}
    ) as server:
        yield server


@pytest.fixture
def get(firebase: FirebaseSimulator) -> Get:
    def fetch(path: str, headers: dict[str, str] | None = None, **params: str) -> requests.Response:
        query = {"auth": SECRET, **params}
        return requests.get(f"{firebase.url}/{path}.json", params=query, headers=headers, timeout=10)

    return fetch


def keys(response: requests.Response) -> list[str]:
    """The keys of an answer in the database's order, whatever its form."""
    body = response.json()
    if isinstance(body, list):
        return [str(index) for index, item in enumerate(body) if item is not None]
    return sorted(body, key=key_rank)


def refusal(response: requests.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["error"])


def test_a_missing_path_is_null_and_not_an_error(get: Get) -> None:
    response = get("nowhere/at/all")
    assert (response.status_code, response.text) == (200, "null")


def test_the_root_is_read_with_and_without_a_name(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/", {"a": 1})
    assert get("").json() == requests.get(f"{firebase.url}/.json", {"auth": SECRET}, timeout=10).json() == {"a": 1}
    assert get("a").json() == get("a/").json() == 1


def test_segments_are_percent_decoded_one_by_one(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {"ünî ?&%": 1})
    assert get("plain/%C3%BCn%C3%AE%20%3F%26%25").json() == 1
    assert refusal(get("plain%2Fx")) == "Invalid path: Invalid token in path"


def test_keys_are_ordered_as_integers_first_then_as_text(firebase: FirebaseSimulator, get: Get) -> None:
    ordered = [
        "-2",
        "1",
        "01",
        "9",
        "10",
        "2147483647",
        "-JhLeOlGIEjaIOFHR0xd",
        "2147483648",
        "B",
        "a",
        "\U0001f600",
        "\uffee",
    ]
    firebase.edit("/plain", dict.fromkeys(reversed(ordered), 1))
    seen: list[str] = []
    while True:
        after = {"startAfter": json.dumps(seen[-1])} if seen else {}
        page = keys(get("plain", orderBy='"$key"', limitToFirst="1", **after))
        if not page:
            break
        seen += page
    assert seen == ordered


def test_what_a_query_selects_comes_unordered(firebase: FirebaseSimulator, get: Get) -> None:
    names = [f"k{number:03}" for number in range(100)]
    firebase.edit("/plain", dict.fromkeys(names, 1))
    got = list(get("plain", orderBy='"$key"', limitToFirst="50").json())
    assert sorted(got) == names[:50]
    assert got != names[:50]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"startAt": '"c"'}, "cde"),
        ({"startAfter": '"c"'}, "de"),
        ({"endAt": '"c"'}, "abc"),
        ({"endBefore": '"c"'}, "ab"),
        ({"equalTo": '"c"'}, "c"),
        ({"startAt": '"b"', "endAt": '"d"', "limitToFirst": "2"}, "bc"),
        ({"startAt": '"b"', "endAt": '"d"', "limitToLast": "2"}, "cd"),
        ({"startAfter": '"e"'}, ""),
        ({"startAt": '"d"', "endAt": '"b"'}, ""),
    ],
)
def test_bounds_by_key(firebase: FirebaseSimulator, get: Get, bounds: dict[str, str], expected: str) -> None:
    firebase.edit("/plain", dict.fromkeys("abcde", 1))
    assert keys(get("plain", orderBy='"$key"', **bounds)) == list(expected)


VALUES = {"none": {"x": 1}, "no": {"n": False}, "yes": {"n": True}, "one": {"n": 1}, "two": {"n": 2}, "two_": {"n": 2}}
VALUES |= {"text": {"n": "a"}, "thing": {"n": {"deep": 1}}}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"limitToFirst": "2"}, {"none", "no"}),
        ({"startAt": "2"}, {"two", "two_", "text", "thing"}),
        ({"startAfter": "2"}, {"text", "thing"}),
        ({"endBefore": "2"}, {"none", "no", "yes", "one"}),
        ({"equalTo": "2"}, {"two", "two_"}),
        ({"equalTo": "null"}, {"none"}),
        ({"startAt": "true", "endAt": '"a"', "limitToLast": "2"}, {"two_", "text"}),
    ],
)
def test_bounds_by_child(firebase: FirebaseSimulator, get: Get, bounds: dict[str, str], expected: set[str]) -> None:
    firebase.edit("/scores", VALUES)
    assert set(get("scores", orderBy='"n"', **bounds).json()) == expected


def test_deep_children_values_and_priorities_can_be_ordered_by(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit(
        "/scores", {"a": {"who": {"name": "zoe"}}, "b": {"who": {"name": "ann"}}, "c": {".value": 1, ".priority": 5}}
    )
    firebase.edit("/plain", {"a": 3, "b": 1})
    assert keys(get("scores", orderBy='"who/name"', limitToLast="1")) == ["a"]
    assert keys(get("plain", orderBy='"$value"', limitToFirst="1")) == ["b"]
    assert keys(get("scores", orderBy='"$priority"', startAt="1")) == ["c"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"orderBy": "$key"}, "orderBy must be a valid JSON encoded path"),
        ({"orderBy": '"a#b"'}, "orderBy must be a valid JSON encoded path"),
        ({"orderBy": "7"}, "orderBy must be a valid JSON encoded path"),
        ({"limitToFirst": "1"}, "orderBy must be defined when other query parameters are defined"),
        ({"orderBy": '"x"'}, 'Index not defined, add ".indexOn": "x", for path "/scores", to the rules'),
        ({"orderBy": '"$value"'}, 'Index not defined, add ".indexOn": ".value", for path "/scores", to the rules'),
        ({"orderBy": '"n"', "startAt": "unquoted"}, "Constraint index field must be a JSON primitive"),
        ({"orderBy": '"n"', "equalTo": "{}"}, "Constraint index field must be a JSON primitive"),
        ({"orderBy": '"$key"', "startAt": "1"}, "must be a string"),
        ({"orderBy": '"n"', "startAt": "1", "equalTo": "1"}, "equalTo cannot be specified"),
        ({"orderBy": '"n"', "limitToFirst": "1", "limitToLast": "1"}, "limitToFirst"),
        ({"orderBy": '"n"', "limitToFirst": "0"}, "limitToFirst"),
        ({"timeout": "16min"}, "timeout"),
        ({"timeout": "3"}, "timeout"),
    ],
)
def test_a_wrong_query_is_refused_in_the_servers_words(get: Get, params: dict[str, str], text: str) -> None:
    assert text in refusal(get("scores", **params))


def test_an_index_rule_covers_every_key_that_its_wildcard_stands_for(clock: Clock) -> None:
    with FirebaseSimulator(public=True, rules={"/rooms/$room": ["at"]}) as server:
        url = f"{server.url}/rooms/r1.json"
        assert requests.get(url, params={"orderBy": '"at"'}, timeout=10).status_code == 200


def test_integer_keys_that_are_dense_come_back_as_a_list(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit(
        "/plain",
        {"dense": {"1": "b", "2": "c"}, "sparse": {"0": 1, "7": 2}, "other": {"0": 1, "x": 2}, "padded": {"01": 1}},
    )
    assert get("plain").json() == {
        "dense": [None, "b", "c"],
        "sparse": {"0": 1, "7": 2},
        "other": {"0": 1, "x": 2},
        "padded": {"01": 1},
    }
    assert get("plain/dense", orderBy='"$key"', startAt='"2"').json() == {"2": "c"}
    assert get("plain/dense", orderBy='"$key"', limitToFirst="1").json() == [None, "b"]
    assert get("plain/dense/2").json() == "c"


@pytest.mark.parametrize(
    ("keys", "is_list"),
    [("0", True), ("1", True), ("2", False), ("13", True), ("3", False), ("014", True), ("04", False), ("-1 0", False)],
)
def test_where_a_list_begins(keys: str, is_list: bool) -> None:
    """As nodeFromJSON(…).val() of @firebase/database 0.11.0 has it; compared with it once on 500 random objects."""
    children = dict.fromkeys(keys.split() if " " in keys else keys, "x")
    assert isinstance(shape(grow(children)), list) is is_list


def test_an_array_is_stored_without_its_nulls(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", ["a", None, None, None, None, "b"])
    assert get("plain").json() == {"0": "a", "5": "b"}


def test_export_has_priorities_and_no_lists(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {"leaf": {".value": 7, ".priority": 2}, "node": {".priority": "p", "0": "x"}})
    assert get("plain").json() == {"leaf": 7, "node": ["x"]}
    assert get("plain", format="export").json() == {
        "leaf": {".value": 7, ".priority": 2},
        "node": {".priority": "p", "0": "x"},
    }


def test_shallow_tells_the_keys_and_shows_scalars(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {"a": {"b": 1}, "c": 2})
    assert get("plain", shallow="true").json() == {"a": True, "c": True}
    assert get("plain/c", shallow="true").json() == 2
    assert get("nothing", shallow="true").json() is None


def test_shallow_with_limits_works_or_is_refused_as_one_chooses(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", dict.fromkeys("abcde", 1))
    page = {"shallow": "true", "limitToFirst": "2", "startAfter": "b", "timeout": "5000ms"}
    assert keys(get("plain", **page)) == ["c", "d"]
    firebase.shallow_with_limits = False
    assert "shallow" in refusal(get("plain", **page))


def test_print_callback_and_download(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {"a": 1})
    assert get("plain", print="pretty").text.count("\n") == 2
    assert (get("plain", print="silent").status_code, get("plain", print="silent").text) == (204, "")
    assert get("plain", callback="go").text == '/**/go({"a":1});'
    assert get("plain", download="dump.json").headers["Content-Disposition"] == 'attachment; filename="dump.json"'


def test_an_answer_that_is_too_large_is_refused_whole(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {f"k{number}": "x" * 100 for number in range(10)})
    firebase.max_response = 500
    assert (
        refusal(get("plain")) == "Data requested exceeds the maximum size that can be accessed with a single request."
    )
    assert len(get("plain", orderBy='"$key"', limitToFirst="4").json()) == 4
    assert len(get("plain", shallow="true").json()) == 10


def test_a_read_that_outlasts_its_timeout_is_refused(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/plain", {f"k{number}": 1 for number in range(100)})
    firebase.read_rate = 10.0
    assert "timeout" in refusal(get("plain", timeout="3s"))
    assert get("plain", timeout="1min").status_code == 200
    assert get("plain", orderBy='"$key"', limitToFirst="20", timeout="3000ms").status_code == 200


def test_five_hundred_thousand_children_are_paged_through_to_the_end(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.load("/plain", ((f"k{number:06}", number) for number in range(500_000)))
    last = get("plain", orderBy='"$key"', startAfter='"k499989"', limitToFirst="20")
    assert keys(last) == [f"k{number}" for number in range(499_990, 500_000)]
    firebase.edit("/plain/k499999", None)
    firebase.edit("/plain/k1999995", 0)
    assert keys(get("plain", orderBy='"$key"', limitToLast="2")) == ["k499997", "k499998"]
    assert keys(get("plain", orderBy='"$key"', startAt='"k199999"', limitToFirst="2")) == ["k199999", "k1999995"]


# -- editing -----------------------------------------------------------------------------------------------------------


def test_edits_over_rest(firebase: FirebaseSimulator, get: Get) -> None:
    url = f"{firebase.url}/room.json?auth={SECRET}"
    assert requests.put(url, json={"a": 1, "b": {"c": 2}}, timeout=10).json() == {"a": 1, "b": {"c": 2}}
    assert requests.patch(url, json={"a": None, "b/d": 3, "at": {".sv": "timestamp"}}, timeout=10).status_code == 200
    assert get("room").json() == {"b": {"c": 2, "d": 3}, "at": 1_450_000_000_000}
    first, second = (requests.post(url, json="hello", timeout=10).json()["name"] for _ in range(2))
    assert first < second
    assert push_ms(first) == push_ms(second) == 1_450_000_000_000
    assert requests.delete(url, timeout=10).json() is None
    assert get("").json() is None


def test_what_is_left_empty_is_gone(firebase: FirebaseSimulator, get: Get) -> None:
    firebase.edit("/a/b/c", 1)
    firebase.edit("/a/x", {"empty": {}, "none": None, "list": []})
    firebase.edit("/a/b/c", None, "DELETE")
    assert get("").json() is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"a.b": 1}',
        b'{"": 1}',
        b'{"a": {"x/y": 1}}',
        b"{",
        b"",
        b'{"' + b"k" * 769 + b'": 1}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
def test_data_that_cannot_be_stored_is_refused(firebase: FirebaseSimulator, body: bytes) -> None:
    response = requests.put(f"{firebase.url}/room.json?auth={SECRET}", data=body, timeout=10)
    assert refusal(response).startswith("Invalid data;")
    assert firebase.value() is None


@pytest.mark.parametrize("body", [b"[1]", b"7", b'{"": 1}', b'{"/": 1}', b'{"a.b": 1, "c": 2}'])
def test_a_patch_that_names_no_children_is_refused(firebase: FirebaseSimulator, body: bytes) -> None:
    firebase.edit("/room", {"a": 1})
    response = requests.patch(f"{firebase.url}/room.json?auth={SECRET}", data=body, timeout=10)
    assert refusal(response).startswith("Invalid data;")
    assert firebase.value("/room") == {"a": 1}


def test_etags(firebase: FirebaseSimulator, get: Get) -> None:
    url = f"{firebase.url}/plain/a.json?auth={SECRET}"
    ask = {"X-Firebase-ETag": "true"}
    assert get("plain/a", headers=ask).headers["ETag"] == "null_etag"
    assert requests.put(url, json=1, headers={"if-match": "null_etag"}, timeout=10).status_code == 200
    tag = get("plain/a", headers=ask).headers["ETag"]
    assert get("plain/a", headers={"if-none-match": tag}).status_code == 304
    lost = requests.put(url, json=2, headers={"if-match": "null_etag"}, timeout=10)
    assert (lost.status_code, lost.json(), lost.headers["ETag"]) == (412, 1, tag)
    assert requests.delete(url, headers={"if-match": tag}, timeout=10).status_code == 200
    assert get("plain/a", headers={"if-match": tag}).status_code == 400
    assert get("plain", headers=ask, shallow="true").status_code == 400
    assert "ETag" not in get("plain/a").headers


# -- who is let in -----------------------------------------------------------------------------------------------------


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_credentials_permission_is_denied(firebase: FirebaseSimulator) -> None:
    response = requests.get(f"{firebase.url}/a.json", timeout=10)
    assert (response.status_code, response.json()) == (401, {"error": "Permission denied"})


@pytest.mark.parametrize(
    ("params", "headers", "text"),
    [
        ({"auth": "wrong"}, {}, "Could not parse auth token."),
        ({"access_token": SECRET}, {}, "Unauthorized request."),
        ({}, bearer(SECRET), "Unauthorized request."),
        ({}, bearer("owner"), "Unauthorized request."),
    ],
)
def test_the_secret_counts_as_auth_only(
    firebase: FirebaseSimulator, params: dict[str, str], headers: dict[str, str], text: str
) -> None:
    response = requests.get(f"{firebase.url}/a.json", params=params, headers=headers, timeout=10)
    assert (response.status_code, response.json()) == (401, {"error": text})


def test_a_database_that_does_not_exist_is_404(firebase: FirebaseSimulator, get: Get) -> None:
    response = get("a", ns="another")
    assert response.status_code == 404
    assert "configured correctly" in response.json()["error"]


def ask_token(firebase: FirebaseSimulator, **changed: Any) -> requests.Response:
    """Ask for a token as a service account does, with some claims (or `kid`, `key`) changed."""
    account = firebase.service_account()
    claims: dict[str, Any] = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": NOW,
        "exp": NOW + 3600,
        "scope": "https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/firebase.database",
    }
    headers = {"kid": changed.pop("kid", account["private_key_id"])}
    key = changed.pop("key", account["private_key"])
    assertion = jwt.encode(claims | changed, key, algorithm="RS256", headers=headers)
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return requests.post(account["token_uri"], data=form, timeout=10)


def test_a_service_account_gets_a_token_that_lasts_its_time(firebase: FirebaseSimulator, clock: Clock) -> None:
    answer = ask_token(firebase).json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    url, token = f"{firebase.url}/a.json", answer["access_token"]
    assert requests.get(url, headers=bearer(token), timeout=10).status_code == 200
    assert requests.get(url, params={"access_token": token}, timeout=10).status_code == 200
    assert requests.get(url, params={"auth": token}, timeout=10).status_code == 401
    clock.time += 3599
    late = requests.get(url, headers=bearer(token), timeout=10)
    assert (late.status_code, late.json()) == (401, {"error": "Auth token is expired"})


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"iss": "someone@else"}, "invalid_grant", "account not found"),
        ({"aud": "https://oauth2.googleapis.com/other"}, "invalid_grant", "audience"),
        ({"exp": NOW + 3700}, "invalid_grant", "short-lived token (60 minutes)"),
        ({"iat": NOW - 7200, "exp": NOW - 3600}, "invalid_grant", "short-lived token (60 minutes)"),
        ({"iat": NOW + 600, "exp": NOW + 700}, "invalid_grant", "short-lived token (60 minutes)"),
        ({"scope": "https://www.googleapis.com/auth/firebase.database"}, "invalid_scope", "scope"),
        ({"kid": "another"}, "invalid_grant", "Invalid JWT Signature."),
    ],
)
def test_a_wrong_assertion_is_refused(
    firebase: FirebaseSimulator, changed: dict[str, Any], error: str, text: str
) -> None:
    response = ask_token(firebase, **changed)
    assert response.status_code == 400
    assert response.json()["error"] == error
    assert text in response.json()["error_description"]


def test_a_signature_of_another_key_is_refused(firebase: FirebaseSimulator) -> None:
    with FirebaseSimulator() as other:
        response = ask_token(firebase, key=other.service_account()["private_key"])
    assert response.json() == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


def test_another_grant_is_refused(firebase: FirebaseSimulator) -> None:
    response = requests.post(f"{firebase.url}/token", data={"grant_type": "client_credentials"}, timeout=10)
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


# -- laws --------------------------------------------------------------------------------------------------------------

KEY = st.text(st.sampled_from("019-aZ_"), min_size=1, max_size=3)


@settings(max_examples=30)
@given(st.dictionaries(KEY, st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 7))
def test_pages_by_key_of_any_size_hold_every_child_once_and_in_order(children: dict[str, int], size: int) -> None:
    server = FirebaseSimulator(public=True)
    server.load("/x", children)
    seen: list[str] = []
    with server:
        while True:
            params = {"orderBy": '"$key"', "limitToFirst": str(size)}
            if seen:
                params["startAfter"] = json.dumps(seen[-1])
            page = keys(requests.get(f"{server.url}/x.json", params=params, timeout=10))
            seen += page
            if len(page) < size:
                break
    assert seen == sorted(children, key=key_rank)
