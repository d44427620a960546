"""Thread limit and signals of the tests.

One thread per process, since tensors are small and additional threads wait for busy cores. Signals as in a terminal: a
program that `nohup` or a shell starts in the background ignores some, and so would all commands that tests start.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
