"""The migration plan's code as it was written, carried over from ioredis to redis-py: the source of most flaws."""
