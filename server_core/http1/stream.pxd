from server_core.asgi.call cimport Call
from server_core.asgi.http_exchange cimport HttpStream
from server_core.connection.context cimport ServerContext
from server_core.http.message cimport Framing, Head
from server_core.http1.held_heads cimport HeldHeads
from server_core.http1.reader cimport H1Reader
from server_core.http1.shared cimport Http1Shared
from server_core.http1.writer cimport H1Writer
from server_core.transport.base cimport Transport
from server_core.transport.read_control cimport ReadControl

cimport cython

cdef class Carrier:
    cdef public bint full
    cdef public bint half_closed

    cpdef complete(self, Call call)
    cpdef read_on(self)

cdef class Http1Stream(HttpStream):
    cdef object _coalescer
    cdef object _loop
    cdef H1Reader _reader
    cdef ReadControl _reading
    cdef int _streak
    cdef public double body_wanted_at
    cdef public Carrier connection
    cdef public bint continued
    cdef public Call exchange
    cdef public Head head
    cdef public object request_ids
    cdef public ServerContext server
    cdef public Http1Shared shared
    cdef public Transport transport
    cdef public H1Writer writer

    @cython.locals(held_heads=HeldHeads, last=Http1Stream)
    cpdef start(self, status, headers)
    @cython.locals(server=ServerContext, writer=H1Writer, connection=Carrier, keep_alive=bint)
    cpdef respond(self, Call call, bytes data, bint more)
