"""What outlives a run: the checkpoint, the lease, the cache, and what was already delivered."""
