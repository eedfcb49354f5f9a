"""The sockets of a process: bound here, or passed by the service manager."""

import socket
from pathlib import Path

from spork_core.config.model import Address, GatewayConfig
from spork_core.errors import ConfigError, ConfigProblem
from spork_core.gateway import bind
from spork_core.workers.systemd import passed_sockets


class Sockets:
    """The listening sockets of a config, in its order. They belong to the process and outlive every snapshot."""

    def __init__(self, config: GatewayConfig) -> None:
        """Takes the sockets that the service manager passed, or binds them. One named ``admin`` is the admin
        listener's, the others are the public ones' in order. Raises OSError, and ConfigError when their number does
        not fit."""
        passed = passed_sockets()
        self.public: list[socket.socket] = [sock for name, sock in passed if name != "admin"]
        self.admin: socket.socket | None = next((sock for name, sock in passed if name == "admin"), None)
        self._paths: list[str] = []
        try:
            if self.public and len(self.public) != len(config.listen):
                raise ConfigError(
                    [
                        ConfigProblem(
                            f"{len(config.listen)} listeners, and LISTEN_FDS passes {len(self.public)} sockets",
                            path="$.listen",
                            remedy="pass one for each listener, in order; one named admin is the admin listener's",
                        )
                    ]
                )
            if not self.public:
                for listener in config.listen:
                    self.public.append(self._bind(listener.address))
            if self.admin is None and config.admin is not None:
                self.admin = self._bind(config.admin.listen.address)
        except BaseException:
            self.close()
            self.unlink()
            raise

    def _bind(self, address: Address) -> socket.socket:
        sock = bind(address)
        if address.path:
            self._paths.append(address.path)
        return sock

    def lines(self, config: GatewayConfig) -> list[str]:
        """What to tell the operator: where the gateway listens, ports resolved."""
        told = [
            f"listening on {_url(sock, listener.tls is not None)}"
            for sock, listener in zip(self.public, config.listen, strict=True)
        ]
        if self.admin is not None and config.admin is not None:
            told.append(f"admin on {_url(self.admin, config.admin.listen.tls is not None)}")
        return told

    def close(self) -> None:
        """Closes this process's hold on the sockets; what they queued is lost when no other process has them."""
        for sock in (*self.public, *((self.admin,) if self.admin is not None else ())):
            sock.close()

    def unlink(self) -> None:
        """Removes the unix sockets that were bound here from the file system."""
        for path in self._paths:
            Path(path).unlink(missing_ok=True)


def _url(sock: socket.socket, tls: bool) -> str:
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"
