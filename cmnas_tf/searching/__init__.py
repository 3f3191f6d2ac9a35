"""Search algorithms: how a space is searched, and how good what it holds is."""
