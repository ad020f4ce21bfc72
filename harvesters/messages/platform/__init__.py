"""The platform that messages come from: its hub, task manager, profile manager and incentive server, all read only."""

from harvesters.messages.platform.platform import Platform, UnknownApp

__all__ = ["Platform", "UnknownApp"]
