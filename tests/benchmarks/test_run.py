"""The benchmarks run and say what they should. Nothing here depends on how fast they are."""

from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.figures import Figure, Target, table
from benchmarks.groups import Sizes
from benchmarks.run import GROUPS, markers, measure, publish, quiet, section, selected, write

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


def test_what_began_on_a_busy_machine_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    begin, end = markers("elastic")
    page.write_text(f"{begin}\nold\n{end}\n")
    assert not publish(page, "elastic", "new", 1.5)
    assert "not published" in capsys.readouterr().err
    assert "old" in page.read_text()
    assert publish(page, "elastic", "new", 1.49)
    assert "new" in page.read_text()


def test_a_measurement_to_be_published_waits_until_the_machine_is_quiet() -> None:
    loads = [3.0, 2.0, 1.4, 1.4]
    slept: list[float] = []
    assert quiet(lambda: (loads.pop(0),), slept.append) == 1.4
    assert len(slept) == 2
    assert quiet(lambda: (9.0,), slept.append) == 9.0


def test_the_guard_measures_twice_before_it_says_that_something_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.9, 0.1, 0.5, 0.3]
    monkeypatch.setattr(guard, "CHECKS", (lambda: Figure("start", values.pop(0), "s", Target(0.4)),) * 2)
    assert [figure.value for figure in guard.guarded()] == [0.1, 0.3]
    assert values == []


def test_the_guard_looks_at_three_figures_with_wide_bounds() -> None:
    assert [check.__name__ for check in guard.CHECKS] == ["one_by_one", "sink", "helped"]
    helped = guard.helped()
    assert helped.target == Target(0.4)


def test_the_documentation_has_the_markers_of_every_group() -> None:
    text = Path(__file__).parents[2].joinpath("docs/benchmarks.md").read_text()
    for group in GROUPS:
        assert all(marker in text for marker in markers(group))
