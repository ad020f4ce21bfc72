"""Parameters of a request: what all routes hold about them."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, model_validator

from harvesters.web.problems import Problem


class Parameters(BaseModel):
    """The parameters of a route. One that it does not know is an error; an empty one counts as not given, as a form
    sends it.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value != ""} if isinstance(given, dict) else given


async def known_and_once(request: Request) -> None:
    """Refuse a parameter that is given twice (which one is meant?), and any where the route takes none.

    Raises:
        Problem: 422.
    """
    if not request.scope["query_string"]:
        return
    given = request.query_params.multi_items()
    if len({name for name, _ in given}) < len(given):
        raise Problem(422, "A parameter is given more than once.")
    dependant = getattr(request.scope.get("route"), "dependant", None)  # FastAPI's own routes have it
    if not (dependant and dependant.query_params) and any(value for _, value in given):
        raise Problem(422, "There are no parameters here.")
