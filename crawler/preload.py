"""What all processes that decode images share: imported by their fork server, and by nobody else."""

from __future__ import annotations

import gc
import os
import signal

# Before anything slow: Ctrl-C reaches the whole process group, and this is not the process that answers it.
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads may run where processes are forked

import crawler.decoder_tasks  # noqa: E402
import crawler.examine  # noqa: E402
import crawler.isolated  # noqa: E402, F401

gc.freeze()  # a collection in a fork would write to, and so copy, every page that they share
