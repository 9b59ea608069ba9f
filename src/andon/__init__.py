"""Andon: from photos to a served, proven vision model on your own machine.

Importing this package does nothing but name it; the public Python API is `andon.api`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("andon")
except PackageNotFoundError:  # run from source with PYTHONPATH=src
    __version__ = "0.0.0+source"
