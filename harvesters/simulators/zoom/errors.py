"""The errors Zoom answers with: HTTP status, code and text as its error table has them."""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.simulators.base import Response


@dataclass
class ZoomError(Exception):
    """A refusal. `fields` are the names of the parameters a validation error complains of."""

    status: int
    code: int
    message: str
    fields: tuple[str, ...] = ()

    def response(self) -> Response:
        """The refusal as Zoom puts it: ``{code, message[, errors]}``."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.fields:
            body["errors"] = [{"field": name, "message": "Invalid field."} for name in self.fields]
        return Response.json(body, self.status)


def invalid(*fields: str) -> ZoomError:
    """Parameters that make no sense."""
    return ZoomError(400, 300, "Validation Failed.", fields)


def no_meeting(key: str) -> ZoomError:
    """Zoom knows no such meeting; also what a badly encoded UUID looks like from outside."""
    return ZoomError(404, 3001, f"Meeting does not exist: {key}")


def not_ended() -> ZoomError:
    """The meeting is still running."""
    return ZoomError(404, 3001, "Meeting ID is invalid or not end.")


def no_details() -> ZoomError:
    """The meeting is listed, its participants are not to be had."""
    return ZoomError(404, 3001, "This meeting's details info is not available or ID is not valid.")
