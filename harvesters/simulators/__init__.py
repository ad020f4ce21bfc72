"""Stand-ins for the sources: loopback servers that answer as the real systems do.

``harvest.py dev simulate NAME`` starts them for people; the tests use the same ones. They are written from what the
real systems' source and documents say, never from what our clients expect.
"""
