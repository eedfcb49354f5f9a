"""A shared HTTP cache by RFC 9111: answers from memory or the Store, coalescing, stale answers, purges."""

from spork_cache.config import CacheConfig, KeyConfig
from spork_cache.plugin import Cache

__all__ = ["Cache", "CacheConfig", "KeyConfig"]
