"""The command line: one lazily imported file per command in `commands/`."""
