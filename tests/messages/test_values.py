"""Values of metadata by their paths, however long these are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harvesters.messages.values import path_of, value_of, values_of

NAMES = st.one_of(
    st.sampled_from(["a", "", ".", "x" * 200, "ä" * 300, "\ud800", "\ud83d", "\udc4d"]), st.text(max_size=5)
)
TREES = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def as_written(said: Any, path: str) -> list[dict[str, Any]]:
    """The same, put together from whole paths."""
    if isinstance(said, dict):
        return [value for name, inner in said.items() for value in as_written(inner, f"{path}.{name}")]
    if isinstance(said, list):
        return [value for inner in said for value in as_written(inner, path)]
    return [{"path": path_of(path), **value_of(said)}]


@given(TREES, st.integers(0, 6))
def test_a_path_is_spelled_as_if_it_were_whole(said: Any, deeper: int) -> None:
    for _ in range(deeper):
        said = {"y" * 100: said, "z": [said]}
    assert values_of(said, "metadata") == as_written(said, "metadata")


def test_many_values_below_a_very_long_path() -> None:
    """Each took time in proportion to its path: minutes for a post that is not even large."""
    said: Any = {str(number): number for number in range(20_000)}
    for _ in range(850):
        said = {"k" * 2000: said}
    found = values_of(said, "metadata")
    assert len({value["path"] for value in found}) == 20_000
    names = ["metadata", *["k" * 2000] * 850]
    assert found[7]["path"] == path_of(".".join([*names, "7"]))
