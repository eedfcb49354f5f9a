"""Keeps what plugins count and remember in Redis or Valkey, where all workers and gateways see the same."""

from spork_redis.config import Breaker, RedisConfig, Tls
from spork_redis.plugin import Redis

__all__ = ["Breaker", "Redis", "RedisConfig", "Tls"]
