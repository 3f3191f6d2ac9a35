"""The commands: flags become components, one call is made, its answer is printed."""
