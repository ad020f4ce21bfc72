"""Brings indices and documents of older versions into the form of today."""
