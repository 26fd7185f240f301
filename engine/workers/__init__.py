"""Worker processes: spawned, watched, replaced. Knows processes and jobs, no domain."""
