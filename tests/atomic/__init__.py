"""Commands and transactions over several shards are atomic and isolated, shown by many clients at once."""
