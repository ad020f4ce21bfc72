"""The command line: one file a command, each options -> settings -> one call -> exit code."""
