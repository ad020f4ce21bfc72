"""Servers that do next to nothing, so that what is measured is the harvester. Each runs in a process of its own."""
