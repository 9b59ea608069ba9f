"""From a trained model to a bundle: the graph, the parity gate and the writer."""
