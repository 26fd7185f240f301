"""How a model is trained: rows to a pipeline, and what it is worth. Without the engine."""
