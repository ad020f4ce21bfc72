"""All answers in one HTML file, for a browser or a printer: no script, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any

from harvesters.insights.answer import Answer, Insight
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.charts import chart
from harvesters.insights.history import History
from harvesters.insights.question import Question

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --page: #ffffff; --line: #d0d0d0; --quiet: #595959; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --page: #161616; --line: #444444; --quiet: #b0b0b0; }
}
body { color: var(--ink); background: var(--page); font: 1rem/1.5 sans-serif; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; padding: 0; }
a { color: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dd { margin: 0; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
figure { margin: 1rem 0; overflow-x: auto; }
svg { max-width: 100%; height: auto; }
.definition { color: var(--quiet); }
.rows { max-height: 24rem; overflow: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.15rem 0.75rem 0.15rem 0; }
th, td { text-align: left; white-space: pre-wrap; }
td.number { text-align: right; }
@media print {
  nav { display: none; }
  .rows { max-height: none; overflow: visible; }
  figure, tr { break-inside: avoid; }
}
"""


def report(history: History, question: Question) -> str:
    """The page: every answer to `question` as a chart and a table, with what its words mean.

    Raises:
        Interrupted, ConfigError, Unavailable: as `Insight.answer` and `chart` do.
    """
    return "".join(f"{line}\n" for line in _page(history, question))


def _page(history: History, question: Question) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8"><title>BuddyUp insights</title>'
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    yield f"<style>{_STYLE}</style></head><body>"
    yield "<header><h1>BuddyUp insights</h1>"
    yield from _circumstances(history, question)
    yield "</header>"
    yield '<nav aria-label="Answers"><ul>'
    yield from (f'<li><a href="#{name}">{name}</a></li>' for name in INSIGHTS)
    yield "</ul></nav><main>"
    yield from sections(history, question)
    yield "</main></body></html>"


def sections(history: History, question: Question) -> Iterator[str]:
    """The HTML of every answer: a ``<section>`` each.

    Raises:
        Interrupted, ConfigError, Unavailable: as `Insight.answer` and `chart` do.
    """
    for insight in INSIGHTS.values():
        own = {name: value for name, value in insight.options.items() if name != "score"}
        yield from _section(insight, insight.answer(history, replace(question, **own)))


def _circumstances(history: History, question: Question) -> Iterator[str]:
    """As of when, of whom, in which time zone."""
    local = history.calendar.iso
    told = {
        "As of": local(history.as_of) if history.as_of is not None else "there are no events",
        "From": local(question.start) if question.start is not None else "the first event",
        "Time zone": history.calendar.zone.key,
        "School": question.school,
        "Class": question.class_,
        "Student": question.student,
        "Left out": ", ".join(question.test_schools) or "no school",
    }
    yield "<dl>"
    yield from (f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in told.items() if value is not None)
    yield "</dl>"


def _section(insight: Insight, answer: Answer) -> Iterator[str]:
    yield f'<section id="{insight.name}" aria-labelledby="{insight.name}-title">'
    yield f'<h2 id="{insight.name}-title">{insight.name}</h2><p>{_text(insight.text)}</p>'
    yield f'<p class="definition">{_text(insight.definition)}</p>'
    if answer.rows:
        yield f"<figure>{chart(insight.name, answer)}</figure>"
        yield f'<div class="rows" tabindex="0" role="group" aria-label="Rows of {insight.name}"><table><thead><tr>'
        yield "".join(f'<th scope="col">{_text(column)}</th>' for column in answer.columns)
        yield "</tr></thead><tbody>"
        yield from (f"<tr>{''.join(map(_cell, row))}</tr>" for row in answer.rows)
        yield "</tbody></table></div>"
    else:
        yield "<p>There is nothing to show: no event is of this kind, or fits the filters.</p>"
    yield "</section>"


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = ' class="number"' if number else ""
    return f"<td{kind}>{_text(spelled(value))}</td>"


def spelled(value: Any) -> str:
    """A value as CSV has it."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    return escape(text).replace("\0", "\ufffd")
