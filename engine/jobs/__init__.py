"""Jobs: accepted in the data file, queued and leased in Redis, finished in the data file."""
