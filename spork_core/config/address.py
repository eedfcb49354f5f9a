"""The address of a listener: a host and port, or the path of a unix socket."""

from ipaddress import ip_address

import attrs

from spork_core.units import ParseError


@attrs.frozen
class Address:
    """Where a listener binds: ``host`` and ``port``, or the ``path`` of a unix socket (then host is "" and port 0)."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach it: a unix socket, localhost or a loopback address."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read "host:port", "[v6]:port" or "unix:/path". Raises ParseError."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/") or "\0" in path:
                raise ParseError(f'"{text}" is not an absolute socket path', 'write "unix:/run/spork.sock"')
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        if not colon:
            remedy = f'write "127.0.0.1:{text}"' if text.isdecimal() else f'write "{text}:8080"'
            raise ParseError(f'"{text}" is not an address', remedy)
        if not host:
            raise ParseError(f'"{text}" has no host', f'write "0.0.0.0{text}" for all interfaces')
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
            raise ParseError(f'"{text}" has no port from 0 to 65535', f'write "{host}:8080"')
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            try:
                if ip_address(host).version != 6:
                    raise ValueError(host)
            except ValueError:
                raise ParseError(f'"{host}" is not an IPv6 address') from None
        elif ":" in host:
            raise ParseError(f'"{text}" is ambiguous', f'write "[{host}]:{port}"')
        elif not all(label and label.replace("-", "a").isalnum() and label.isascii() for label in host.split(".")):
            raise ParseError(f'"{host}" is not a host name or address')
        return cls(host=host, port=int(port))
