#!/usr/bin/env python3
"""The harvester, from a checkout: ``./harvest.py COMMAND`` does what the installed ``harvest COMMAND`` does."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(HERE, ".venv", "bin", "python")

# Started by cron, or by hand outside of the checkout's virtual environment: go on inside it.
if sys.prefix == sys.base_prefix and os.path.exists(PYTHON):
    os.execv(PYTHON, [PYTHON, *sys.argv])

from harvesters.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
