"""Thread limit of the tests: one per process, since tensors are small and additional threads wait for busy cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
