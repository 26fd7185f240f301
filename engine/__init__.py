"""Trellis: features, serving, jobs, drift and retraining in one program."""
