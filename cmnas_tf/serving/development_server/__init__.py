"""A small model server for development and tests, which answers as TensorFlow Serving does."""
