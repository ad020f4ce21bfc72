"""Harvesters for learning analytics: from where events are born to where they are analysed."""

__version__ = "1.0.0"
