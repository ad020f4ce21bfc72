"""Dumps of a database: files that an export writes and a load reads."""
