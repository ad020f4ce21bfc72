"""``tie.py PARENT COMMAND…`` becomes COMMAND, to be killed by the kernel when process PARENT ends (Linux only).

A script of its own instead of a ``preexec_fn``, which may deadlock a parent that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent ended before its server began")
    os.execvp(sys.argv[2], sys.argv[2:])
