"""How good predictions are: plain numpy, every figure with an interval. One package or file per kind of task."""
