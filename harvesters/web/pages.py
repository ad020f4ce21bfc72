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


class Pages:
    """Renders pages with the header of the parts that are served."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.globals.update(parts=parts, searches=PARTS["profiles"] in parts)

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page that `template` makes of `values`; all text in them is escaped."""
        return HTMLResponse(self._environment.get_template(template).render(values), status)
