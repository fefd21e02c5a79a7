from server_core.connection.context cimport ServerContext
from server_core.transport.base cimport Transport
from server_core.transport.read_control cimport ReadControl
from server_core.websocket.codec cimport FrameCodec
from server_core.asgi.websocket_session cimport Link, WebSocketExchange

cdef class WebSocketConnection(Link):
    cdef object _closing
    cdef bytes _farewell
    cdef bint _full
    cdef readonly bint _heard
    cdef bytes _held
    cdef readonly int _looks
    cdef FrameCodec _machine
    cdef int _mode
    cdef bint _pinged
    cdef object _progress
    cdef readonly ReadControl _reading
    cdef ServerContext _server
    cdef double _since
    cdef bint _sliced
    cdef readonly Transport _transport
    cdef long long _written_bytes
    cdef public WebSocketExchange session

    cdef _read(self, bytes data)
    cdef _write(self, out)
