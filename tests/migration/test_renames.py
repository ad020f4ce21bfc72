"""Projects get other names, by a file; what is renamed keeps its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvesters.messages import stored
from harvesters.messages.ids import trace_id
from harvesters.migration.renames import Renames, RenamesUnreadable
from tests.messages.chats import Chats, message
from tests.migration.chatting import analytic, migrate
from tests.migration.test_chats import given_out


def read(tmp_path: Path, text: str | bytes) -> Renames:
    file = tmp_path / "renames.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Renames.read(file)


class TestFile:
    def test_times_are_half_open_and_by_timestamp(self, tmp_path: Path) -> None:
        text = "old,new,from,to\nwenet,one,,2021-03-12T00:00:00\nwenet,two,2021-03-12,\n\n"
        for found in (read(tmp_path, text), read(tmp_path, "\ufeff" + text.replace("\n", "\r\n"))):
            assert found.of("wenet", "2021-03-11T23:59:59.999999") == "one"
            assert found.of("wenet", "2021-03-12T00:00:00") == "two"
            assert found.of("wenet", "2021-03-12T00:30:00+01:00") == "one"
            assert found.of("wenet", "2021-03-12T00:30:00Z") == "two"
            assert found.of("other", "2021-03-12") == "other"
            assert found.of("Wenet", "2021-03-12") == "Wenet"
            assert found.of("wenet", "some day") == "wenet"
            assert found.of(None, "2021-03-12") is None

    def test_numbers_are_texts_and_open_rows_need_no_time(self, tmp_path: Path) -> None:
        found = read(tmp_path, '5,"a, b",,\n')
        assert (found.of(5, None), found.of("5", "x"), found.of(6, None)) == ("a, b", "a, b", 6)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "line 1: it renames nothing"),
            ("old,new,from,to\n", "line 1: it renames nothing"),
            ("a,b,,\nc,d\n", "line 2: it has 2 fields"),
            ("a,b,,,\n", "line 1: it has 5 fields"),
            ("a,,,\n", "line 1: new is no name"),
            (",b,,\n", "line 1: old is no name"),
            (f"a,{'x' * 513},,\n", "line 1: new is no name"),
            ("a,b,,\nb2,c,yesterday,\n", "line 2: from is no time"),
            ("a,b,,2021-13-01\n", "line 1: to is no time"),
            ("a,b,2021-02-01,2021-01-01\n", "line 1: from is not before to"),
            ("a,b,2021-02-01,2021-02-01\n", "line 1: from is not before to"),
            ("a,a,,\n", "line 1: 'a' would keep its name"),
            ("a,b,,\na,c,2021-01-01,\n", "line 2: 'a' has another name at the same time in line 1"),
            ("a,b,,\nb,c,,\n", "line 2: what line 1 renames would be renamed once more"),
            ("b,c,,\na,b,,\n", "line 2: what line 1 renames would be renamed once more"),
            ('a,"b,,\n', "line 1: "),
            (b"a,\xff,,\n", "cannot be read"),
        ],
    )
    def test_a_bad_one_is_told_with_the_line(self, tmp_path: Path, text: str, why: str) -> None:
        with pytest.raises(RenamesUnreadable, match=why):
            read(tmp_path, text)

    def test_none_is_there(self, tmp_path: Path) -> None:
        with pytest.raises(RenamesUnreadable, match="cannot be read"):
            Renames.read(tmp_path / "none.csv")


class TestIndices:
    def test_messages_and_analytics_get_the_name_and_keep_their_ids(self, chats: Chats, tmp_path: Path) -> None:
        renames = read(tmp_path, "wenet,app-1,,2021-03-12\nwenet,app-2,2021-03-12,\n")
        chats.put("message-wenet-2021-01-22", {"a": message("1"), "b": message("2", project="other")})
        chats.put("message-2021-04-01", {"c": message("1", timestamp="2021-04-01T10:00:00")})
        result = {"creationDt": "2021-05-05T04:00:00", "fromDt": None, "toDt": None, "count": 1, "type": "count"}
        chats.put("analytic-wenet-message", {"d": analytic("d", "requests", result=result)})
        migrate(chats, renames=renames)
        found = given_out(chats)
        assert {id: body["project"] for id, body in found.items()} == {"a": "app-1", "b": "other", "c": "app-2"}
        assert chats.all("message-*")["a"]["harvest"]["triple"] == trace_id("app-1", "anna", "1")
        assert chats.all("analytic-*")["d"]["descriptor"]["project"] == "app-2"
        assert migrate(chats, renames=renames) == []

    def test_what_is_in_todays_form_is_renamed_too(self, chats: Chats, tmp_path: Path) -> None:
        chats.put("message-2021-01-22", {"a": message("1")})
        chats.put("message-2021-01-23", {"b": message("1", project="other")})
        chats.put("analytic-2021-05-05", {"d": analytic("d", "requests")})
        migrate(chats)
        before = chats.indices()
        renames = read(tmp_path, "wenet,app-1,,\n")
        said = " ".join(migrate(chats, renames=renames))
        assert "message-2021-01-22: joined" in said
        assert "message-2021-01-23" not in said
        assert {body["project"] for body in given_out(chats).values()} == {"app-1", "other"}
        assert chats.all("analytic-*")["d"]["descriptor"]["project"] == "app-1"
        assert len(chats.indices()) == len(before)
        assert migrate(chats, renames=renames) == []

    def test_a_renamed_message_is_given_out_as_before(self, chats: Chats, tmp_path: Path) -> None:
        body = message("1", metadata={"deep": {"er": [1, 2, None]}}, channel={"odd": True})
        chats.put("message-2021-01-22", {"a": body})
        migrate(chats, renames=read(tmp_path, "wenet,app-1,,\n"))
        assert stored.original(chats.all("message-*")["a"]) == {**body, "project": "app-1"}
