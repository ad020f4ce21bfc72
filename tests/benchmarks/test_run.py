"""The benchmarks run and say what they should. Nothing here depends on how fast they are."""

from pathlib import Path

import pytest

from benchmarks.cases import Sizes
from benchmarks.figures import Figure, Target, table
from benchmarks.run import BEGIN, END, measure, section, write

TINY = Sizes(actions=40, many=80, sample=5, latency=0.0, runs=1, starts=1)


@pytest.mark.usefixtures("redis_server")  # which says what is missing on a machine without Redis
def test_a_case_runs_and_gives_figures() -> None:
    figures = measure(["queue"], TINY)
    lines = section(figures, TINY, "a machine").splitlines()
    assert lines[2] == "| figure | measured | target | |"
    assert len(lines) == 4 + len(figures)
    assert all(line.count(" |") == 4 for line in lines[4:])
    assert any(figure.target is not None for figure in figures)


def test_a_missed_target_is_marked() -> None:
    figures = [
        Figure("fast enough", 41.0, "×", Target(40, at_least=True)),
        Figure("too slow", 0.75, "s", Target(0.7), "a note"),
        Figure("only said", 12_345.6, "/s"),
    ]
    assert [*table(figures)][2:] == [
        "| fast enough | 41 × | ≥ 40 × |  |",
        "| too slow | 0.75 s | ≤ 0.7 s | **missed** a note |",
        "| only said | 12,346 /s |  |  |",
    ]
    assert [figure.met for figure in figures] == [True, False, True]


def test_results_replace_those_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, "new")
    write(page, "newer \\1")
    assert page.read_text() == f"before\n{BEGIN}\nnewer \\1\n{END}\nafter\n"


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="no section of results"):
        write(page, "new")


def test_the_documentation_has_the_markers() -> None:
    text = Path(__file__).parents[2].joinpath("docs/benchmarks.md").read_text()
    assert BEGIN in text
    assert END in text
