"""What is known as of an instant: the tables that all answers ask.

``named``       everybody whom events name: id, name (a text), school (NULL: events tell of none). Ids are whole numbers
                in the order of the names, which are joined and counted in half of the time that texts take
``event``       the events that are not left out: ms (since 1970), key, day, type, creator (NULL: nobody), school (its
                own, else its creator's), class, one, other (NULL: nobody), polarity, subjectivity
``person``      the users: id, school, first and last event, sign-up, deletion
``pairing``     each `buddied_up` (`together`) and `unbuddied` of a pair of two people, a < b: `change` is 1 where they
                become buddies, -1 where they cease to be, 0 where nothing changes
``tie``         the changes, as each of the two sees them
``part``        who takes part in which buddy request
``third``       when a user has three buddies at once for the first time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from harvesters.insights.store import Store, translated

_TABLES = """
CREATE TABLE named AS
WITH told AS (FROM main.told WHERE ms < $cut), texts AS (
    SELECT creator AS name FROM told UNION SELECT one FROM told UNION SELECT other FROM told
), school_of AS (
    SELECT creator AS name, arg_min(school, {rank: CASE type WHEN 'signed_up' THEN 0 WHEN 'account_created' THEN 1
        ELSE 2 END, ms: ms, key: key}) AS school
    FROM told
    WHERE school <> ''
    GROUP BY creator
)
SELECT row_number() OVER (ORDER BY name)::INTEGER AS id, name, school
FROM texts LEFT JOIN school_of USING (name)
WHERE name <> '';

CREATE TABLE event AS
SELECT told.ms, told.key, told.day, told.type, who.id AS creator, coalesce(nullif(told.school, ''), who.school, '')
    AS school, told.class, one.id AS one, other.id AS other, told.polarity, told.subjectivity
FROM main.told LEFT JOIN named AS who ON who.name = told.creator LEFT JOIN named AS one ON one.name = told.one
    LEFT JOIN named AS other ON other.name = told.other
WHERE told.ms < $cut AND NOT list_contains($tests::VARCHAR[], told.school)
    AND NOT list_contains($tests::VARCHAR[], coalesce(who.school, ''));

CREATE TABLE person AS
SELECT creator AS id, coalesce(any_value(named.school), '') AS school,
    min(ms) AS first_at, arg_min(day, ms) AS first_day, max(ms) AS last_at,
    min(ms) FILTER (type = 'signed_up') AS signed_up_at,
    arg_min(day, ms) FILTER (type = 'signed_up') AS signed_up_day,
    CASE WHEN arg_max(type, {ms: ms, key: key}) = 'delete_account' THEN arg_max(day, ms) END AS deleted_day
FROM event JOIN named ON named.id = creator
GROUP BY creator;

CREATE TABLE pairing AS
WITH met AS (
    SELECT ms, key, day, type = 'buddied_up' AS together, least(one, other) AS a, greatest(one, other) AS b
    FROM event
    WHERE type IN ('buddied_up', 'unbuddied') AND one <> other
), testers AS (
    SELECT id FROM named WHERE list_contains($tests::VARCHAR[], school)
)
SELECT ms, key, day, together, a, b,
    CASE WHEN together = coalesce(lag(together) OVER (PARTITION BY a, b ORDER BY ms, key), false) THEN 0
        WHEN together THEN 1 ELSE -1 END AS change
FROM met
WHERE a NOT IN (FROM testers) AND b NOT IN (FROM testers);

CREATE TABLE tie AS
SELECT a AS id, b AS buddy, ms, key, day, change FROM pairing WHERE change <> 0
UNION ALL SELECT b, a, ms, key, day, change FROM pairing WHERE change <> 0;

CREATE TABLE part AS
SELECT one AS id, ms FROM event WHERE type = 'buddy_request' AND one IS NOT NULL
UNION ALL SELECT other, ms FROM event WHERE type = 'buddy_request' AND other IS DISTINCT FROM one AND other IS NOT NULL;

CREATE TABLE third AS
WITH running AS (SELECT id, ms, day, key, sum(change) OVER (PARTITION BY id ORDER BY ms, key) AS buddies FROM tie)
SELECT id, min(ms) AS ms, arg_min(day, ms) AS day FROM running JOIN person USING (id) WHERE buddies >= 3 GROUP BY id;
"""


class History:
    """The events of `store` before `end` (milliseconds since 1970), without those of `test_schools`.

    Attributes:
        as_of: nothing at or after it is known: `end`, else 1 ms after the last event; None where there is none.

    Raises:
        Interrupted, ConfigError, Unavailable: as `store.translated` says.
    """

    def __init__(self, store: Store, end: int | None, test_schools: Sequence[str]) -> None:
        self.calendar = store.calendar
        self._store = store
        self._schema = f"history{next(store.schemas)}"
        with translated():
            store.connection.execute(f"CREATE SCHEMA {self._schema}")
        parameters = {"cut": end if end is not None else 2**62, "tests": [*test_schools]}
        for statement in _TABLES.split(";\n\n"):
            self.ask(statement, parameters)
        last = self.ask("SELECT max(ms) + 1 FROM event", {})[0][0]
        self.as_of: int | None = end if end is not None else last

    def ask(self, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query in SQL; of `parameters` it gets those that it names (``$name``)."""
        return self.table(query, parameters)[1]

    def table(self, query: str, parameters: Mapping[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """As `ask`, with the types of the columns."""
        with translated(), self._store.cursor() as cursor:
            cursor.execute(f"SET schema = '{self._schema}'")
            named = {name: value for name, value in parameters.items() if f"${name}" in query}
            cursor.execute(query, named)
            return [str(column[1]) for column in cursor.description or ()], cursor.fetchall()

    def id(self, name: str | None) -> int | None:
        """The id of whom events call so; -1 where none does."""
        if name is None:
            return None
        found = self.ask("SELECT id FROM named WHERE name = $name", {"name": name})
        return int(found[0][0]) if found else -1

    def close(self) -> None:
        """Drop the tables."""
        self._store.connection.execute(f"DROP SCHEMA {self._schema} CASCADE")

    def day(self, at: int | None) -> date | None:
        """The local day that holds `at`."""
        return self.calendar.day(at) if at is not None else None
