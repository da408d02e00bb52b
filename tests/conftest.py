"""Settings that have to be made before anything is imported."""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # without it, scikit-learn's check_array_api_input is skipped
os.environ.setdefault("MPLBACKEND", "agg")
