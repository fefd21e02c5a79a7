from server_core.transport cimport syscalls
from server_core.connection.write_progress cimport Progress
from server_core.http1.held_heads cimport HeldHeads
from server_core.http1.shared cimport Http1Shared
from server_core.asgi.call cimport Call
from server_core.asgi.http_exchange cimport Exchange, HttpStream
from server_core.http1.reader cimport H1Reader
from server_core.http1.writer cimport H1Writer
from server_core.http.message cimport Head, Framing
from server_core.transport.read_control cimport ReadControl
from server_core.connection.context cimport ServerContext
from server_core.transport.base cimport Transport

cimport cython

cdef class Http1Connection(HttpStream):
    cdef dict _base
    cdef object _coalescer
    cdef object _loop
    cdef object _own
    cdef int _streak
    cdef object _tls
    cdef int _trusted
    cdef public double body_wanted_at
    cdef public object build
    cdef public bint continued
    cdef public long long discarded
    cdef public object ending
    cdef public Call exchange
    cdef public bint fresh
    cdef public bint full
    cdef public bint half_closed
    cdef public Head head
    cdef public int mode
    cdef public object peer
    cdef public Progress progress
    cdef public H1Reader reader
    cdef public object request_ids
    cdef public ServerContext server
    cdef public Http1Shared shared
    cdef public double since
    cdef public ReadControl reading
    cdef public Transport transport
    cdef public int waiting
    cdef public H1Writer writer

    @cython.locals(held_heads=HeldHeads, last=Http1Connection)
    cpdef start(self, status, headers)
    cpdef begin(self, Head head)
    cpdef body(self, bytes data)
    cpdef end(self)
    @cython.locals(server=ServerContext, duration=double)
    cpdef complete(self, Call call)
