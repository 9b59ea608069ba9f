"""Training: a config in, a run folder with a proven bundle out.

`pipeline.train` is the whole way; `loop` is the training loop, short enough to read in one sitting.
"""
