"""Evaluation: test protocols run, results stored and compared."""
