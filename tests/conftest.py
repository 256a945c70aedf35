"""Properties are tried on the same examples everywhere, and no example has to be quick: machines are busy."""

import os

from hypothesis import HealthCheck, settings

# A worker a core: threads of BLAS beside them would only wait for each other. Read when numpy is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("house")
