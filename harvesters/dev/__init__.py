"""The local servers of ``harvest.py dev``: in containers, or as processes of this machine without any.

`compose` and `embedded` bring them up, `record` remembers what was brought up and writes the settings that point at it.
"""
