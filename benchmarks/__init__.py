"""How fast, against what: every figure is a ratio of variants that took turns on one machine."""

import os

# TensorFlow greets each process with lines of level "error" that mean nothing.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
