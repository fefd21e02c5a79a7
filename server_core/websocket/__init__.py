"""WebSocket: the handshake on an HTTP/1.1 connection, frames after it, and the ASGI session above both."""
