"""One thread a test process: tensors here are small, and threads that wait for a busy core stand still."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
