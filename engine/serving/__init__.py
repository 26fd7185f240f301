"""Predictions: rows of features, resident workers that score them, and a record of both."""
