"""Numbered, forward-only schema changes: `NNNN_what.sql`, never edited once shipped."""
