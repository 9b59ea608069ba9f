"""One file per command: `NAME.py` defines the function `NAME`, found by the file's name.

Only light imports stand at the top of these files, so that `andon --help` answers at once.
"""
