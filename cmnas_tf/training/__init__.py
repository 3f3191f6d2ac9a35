"""Training an architecture: recipe, step, optimisers, average, and the trained network."""
