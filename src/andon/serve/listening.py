"""Taking a port, before anything slow is done."""

import errno
import socket
import sys

from andon.errors import UserError

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Callers bind before they load models, so that a taken port is said at once.

    Args:
        host: a name or an IPv4 or IPv6 address of this machine.
        port: 0 takes any free one.

    Raises:
        UserError: the port is taken or not allowed, or the host is not this machine's; says what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UserError(f"--host {host}: there is no such address ({error.strerror or error})") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(_why_not(host, port, error)) from error
    listener.setblocking(False)
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another program; stop that one, "
            f"or choose another with --port (--port 0 takes any free one)"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"port {port} may not be opened by this user; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is not an address of this machine; 127.0.0.1 is this machine only, 0.0.0.0 every network"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


def url_of(listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
