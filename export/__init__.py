"""Taking a trained network out of this program, to where it answers requests."""
