"""The learning loop: what is trained when, what becomes of it, and what is watched."""
