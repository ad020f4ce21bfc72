"""Pages: templates of our own, filled in here. They need no script, and no file of another host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from harvesters.web.parts import PARTS, Part

HERE = Path(__file__).parent
STATIC = HERE / "static"


_BOXES = {
    "search": {"label": "Find listings", "action": "/search", "names": "text"},
    "profiles": {"label": "Find people", "action": "/profiles", "names": "name"},
}
"""By part: the box of the header that searches it, and what of its suggestions is shown; the first one counts."""


class Pages:
    """Renders pages with the header of the parts that are served."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        box = next((box for name, box in _BOXES.items() if PARTS[name] in parts), None)
        self._environment.globals.update(parts=[part for part in parts if part.page], box=box)

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page that `template` makes of `values`; all text in them is escaped."""
        return HTMLResponse(self._environment.get_template(template).render(values), status)
