"""The benchmarks run and say what they should. Nothing here depends on how fast they are."""

from pathlib import Path

import pytest

from benchmarks.figures import Figure, Target, table
from benchmarks.groups import Sizes
from benchmarks.run import GROUPS, markers, measure, section, selected, write

TINY = Sizes(scale=0.002, runs=1)


@pytest.mark.usefixtures("redis_server")  # which says what is missing on a machine without Redis
def test_a_case_runs_and_gives_figures() -> None:
    figures = measure("useractions", ["queue"], TINY)
    lines = section("useractions", figures, TINY, "a machine").splitlines()
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


def test_names_stand_for_groups_and_cases() -> None:
    assert selected([]) == {name: [*group.cases] for name, group in GROUPS.items()}
    assert selected(["elastic.sink", "elastic.kill", "zoom"]) == {"elastic": ["sink", "kill"], "zoom": ["one", "two"]}
    for unknown in ("elastic.nothing", "nothing"):
        with pytest.raises(ValueError, match=unknown):
            selected([unknown])


def test_results_replace_those_of_their_group(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (begin, end), (other, other_end) = markers("elastic"), markers("zoom")
    page.write_text(f"before\n{begin}\nold\n{end}\nbetween\n{other}\nkept\n{other_end}\nafter\n")
    write(page, "elastic", "new")
    write(page, "elastic", "newer \\1")
    expected = f"before\n{begin}\nnewer \\1\n{end}\nbetween\n{other}\nkept\n{other_end}\nafter\n"
    assert page.read_text() == expected


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="no section of results"):
        write(page, "elastic", "new")


def test_the_documentation_has_the_markers_of_every_group() -> None:
    text = Path(__file__).parents[2].joinpath("docs/benchmarks.md").read_text()
    for group in GROUPS:
        assert all(marker in text for marker in markers(group))
