"""``python -m harvesters`` is ``harvest.py``."""

from harvesters.cli.main import main

main()
