"""What aiohttp, the event loop and the sockets raise ▶ this package's errors."""

from __future__ import annotations

import os
import ssl

import aiohttp

from infra.http.errors import BlockedAddress, ConnectionFailed, HttpError, TimedOut
from infra.http.guard import Hop

# Everything that a server, the network or a resolver can bring about. UnicodeError: a host name that cannot be looked
# up; OSError holds ssl.SSLError and TimeoutError; the rest would be a mistake of ours and is not hidden.
NETWORK_ERRORS = (aiohttp.ClientError, OSError, UnicodeError)


def http_error(exc: Exception, where: str, hop: Hop) -> HttpError:
    """The error to raise for `exc`, one of NETWORK_ERRORS; `where` names the URL as messages show it."""
    if hop.refused and isinstance(exc, aiohttp.ClientConnectorError):
        return BlockedAddress(f"{where}: not reached, {hop.refused}; list it under allow if it is yours")
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        problem = getattr(exc.certificate_error, "verify_message", "") or "it could not be verified"
        return ConnectionFailed(f"{where}: the server's certificate is not trusted: {problem}", retriable=False)
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    if isinstance(cause, TimeoutError):
        return TimedOut(f"{where}: timed out while connecting")
    return ConnectionFailed(f"{where}: {_problem(exc, cause)}")


def _problem(exc: Exception, cause: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError | UnicodeError):
        return f"no address found for this host ({_reason(cause)})"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS connection ({_reason(cause)})"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"no connection ({_reason(cause)})"
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "the answer broke off, or was damaged on the way"
    if isinstance(exc, aiohttp.ServerDisconnectedError | OSError):
        return "the server closed the connection before it had answered"
    return "the answer is not valid HTTP"


def _reason(exc: BaseException) -> str:
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(exc, OSError) and exc.errno and exc.errno > 0:
        return os.strerror(exc.errno).lower()
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return " ".join(str(text).split())[:100].lower()
