"""Trellis: a feature store, model server, job queue, drift monitor and retraining loop in one program."""
