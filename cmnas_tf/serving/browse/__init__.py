"""A page to search galleries with, in a browser on this machine; it needs the extra ``browse``."""
