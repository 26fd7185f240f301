"""From Kafka messages to committed events: validation, exactly-once consumption, dead letters."""
