"""Networks to train: one file per arch family, layer stages, weight import. Everything here needs torch."""
