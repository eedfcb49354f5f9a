"""Says who is calling by JSON Web Tokens: keys that rotate, tokens verified once, revocation, spoof-proof headers."""

from spork_jwt.config import CacheConfig, JwksConfig, JwtConfig
from spork_jwt.plugin import Jwt

__all__ = ["CacheConfig", "JwksConfig", "Jwt", "JwtConfig"]
