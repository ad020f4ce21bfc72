"""Analytics of messages: what is kept of them, and how they are computed."""

from harvesters.messages.analytics.computer import Computer, UnknownAnalytic, threshold
from harvesters.messages.analytics.store import AnalyticStore, Stored

__all__ = ["AnalyticStore", "Computer", "Stored", "UnknownAnalytic", "threshold"]
