"""Serving: the exported graph and its proof, galleries, the client, the development server."""
