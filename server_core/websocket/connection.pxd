from server_core.connection.context cimport Traffic
from server_core.transport.base cimport Transport
from server_core.websocket.codec cimport Machine
from server_core.asgi.websocket_session cimport Link, Session

cdef class Channel(Link):
    cdef bytes _farewell
    cdef bint _full
    cdef readonly bint _heard
    cdef bytes _held
    cdef readonly int _looks
    cdef Machine _machine
    cdef int _mode
    cdef readonly bint _paused
    cdef bint _pinged
    cdef Traffic _server
    cdef double _since
    cdef bint _sliced
    cdef double _stalled_at
    cdef long long _taken_bytes
    cdef readonly Transport _transport
    cdef long long _written_bytes
    cdef public Session session

    cdef _read(self, bytes data)
    cdef _write(self, out)
