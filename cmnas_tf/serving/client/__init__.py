"""Asking a model server: TensorFlow Serving, or the local one for development."""
