"""How fast, against what: every figure is a ratio of variants that took turns on one machine."""
