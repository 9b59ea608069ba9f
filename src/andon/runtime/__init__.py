"""Opens bundles and answers with them: engines, the choice among them, the self-check and the predictor."""
