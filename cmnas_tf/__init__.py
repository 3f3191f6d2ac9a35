"""Neural architecture search for person re-identification: CM-NAS and Auto-ReID in TensorFlow.

The rooms, from the ground up: ``settings``, ``architecture`` and ``modality``; ``layers`` and
``losses``; ``models``, ``data`` and ``retrieval``; ``search_spaces``; ``training``, ``reports`` and
``weights``; and on top the commands ``search``, ``train``, ``evaluate`` and ``make_synthetic``.
A file imports only from lower floors. Importing this package imports nothing else.
"""

__version__ = "0.1.0"
