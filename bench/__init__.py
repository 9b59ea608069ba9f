"""What this machine reaches: one file per question, each with a `run()`. Start with `python -m bench [NAME...]`."""
