"""Parts of queries that several answers share. All are common table expressions, to stand behind WITH."""

from __future__ import annotations

COUNTED = """counted AS (
    SELECT * FROM event
    WHERE ms >= $start AND ($school IS NULL OR school = $school) AND ($class IS NULL OR class = $class)
        AND ($student IS NULL OR creator = $student)
)"""
"""The events of the window that fit the filters, for answers that filter events."""

CHOSEN = """chosen AS (
    SELECT * FROM person
    WHERE ($school IS NULL OR school = $school) AND ($student IS NULL OR id = $student)
        AND ($class IS NULL OR id IN (SELECT creator FROM event WHERE type = 'added_class' AND class = $class))
)"""
"""The users who fit the filters, for answers that filter users."""


def period(by: str, day: str = "day") -> str:
    """The first day of the period that holds the day in column `day`."""
    return f"date_trunc('{by}', {day})::DATE"


def periods(by: str, counted: str) -> str:
    """Each period from that of the start, else from the first day of `counted` (a query), to that of the last instant.

    Where there is neither there are none.
    """
    return f"""periods AS (
    SELECT unnest(generate_series({period(by, "first")}, $last::DATE, INTERVAL 1 {by}))::DATE AS period
    FROM (SELECT coalesce($first::DATE, ({counted})) AS first)
)"""
