"""Training a derived or hand-made architecture."""
