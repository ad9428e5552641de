"""Runs a command, then writes its exit code (below zero: the signal) and its peak memory in KiB to a file:
`measured.py REPORT COMMAND...`.

The kernel's count of a process's peak begins at the peak of the process that forked it. A test script may be large; this
one is small. SIGINT to the group reaches the command alone.
"""

import os
import signal
import sys

report, command = sys.argv[1], sys.argv[2:]
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = os.posix_spawn(command[0], command, os.environ, setsigdef=[signal.SIGINT])
_, status, usage = os.wait4(child, 0)
with open(report, "w", encoding="ascii") as file:
    file.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")
