"""Dumps of the survey: free-form dates in UTC, and clear words for what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.errors import BadInput, ConfigError
from harvesters.messages.exports.dumps import UPDATED, read


def dump(folder: Path, content: str | bytes, name: str = "updates.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-07-28 10:00:00", datetime(2021, 7, 28, 10, tzinfo=UTC)),
        ("2021-07-28T10:00:00+02:00", datetime(2021, 7, 28, 8, tzinfo=UTC)),
        ("28 July 2021 10:00", datetime(2021, 7, 28, 10, tzinfo=UTC)),
        ("Wed Jul 28 10:00:00 CEST 2021", datetime(2021, 7, 28, 8, tzinfo=UTC)),
        ("28 luglio 2021, 10:00", datetime(2021, 7, 28, 10, tzinfo=UTC)),
        ("1627466400", datetime(2021, 7, 28, 10, tzinfo=UTC)),
        ("2021-07-08", datetime(2021, 7, 8, tzinfo=UTC)),
    ],
)
def test_dates_are_written_in_any_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: datetime
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert read(dump(tmp_path, f'wenet_id,last_update\n7,"{text}"\n'), UPDATED) == [("7", expected)]


def test_tabs_a_byte_order_mark_further_columns_and_empty_lines(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfwenet_id\todd\tlast_update\r\n7\tx\t2021-07-28\r\n\r\n\t\t\r\n8\ty\t2021-07-29\r\n"
    found = read(dump(tmp_path, content, "updates.TSV"), UPDATED)
    assert [user for user, _ in found] == ["7", "8"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "needs a column wenet_id"),
        ("wenet_id,when\n7,2021-07-28\n", "needs a column last_update.*wenet_id, when"),
        ("wenet_id;last_update\n7;2021-07-28\n", "needs a column wenet_id"),
        ("wenet_id,last_update\n7,2021-07-28\n8,whenever\n", "row 3: last_update 'whenever' is no time"),
        ("wenet_id,last_update\n7\n", "row 2: last_update '' is no time"),
        ("wenet_id,last_update\n,2021-07-28\n", "row 2: wenet_id is empty"),
        (b"wenet_id,last_update\n\xff,2021-07-28\n", "UTF-8"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = dump(tmp_path, content)
    with pytest.raises(BadInput, match=words) as caught:
        read(path, UPDATED)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.csv cannot be read"):
        read(tmp_path / "missing.csv", UPDATED)
