from server_core.transport cimport syscalls
from server_core.http1.shared cimport Http1Shared
from server_core.http1.stream cimport Carrier, Http1Stream
from server_core.asgi.call cimport Call
from server_core.asgi.http_exchange cimport Exchange
from server_core.http1.reader cimport H1Reader
from server_core.http.message cimport Head, Framing
from server_core.transport.read_control cimport ReadControl
from server_core.connection.context cimport ServerContext
from server_core.transport.base cimport Transport

cimport cython

cdef class Http1Connection(Carrier):
    cdef dict _base
    cdef object _own
    cdef object _tls
    cdef int _trusted
    cdef public object build
    cdef public long long discarded
    cdef public object ending
    cdef public bint fresh
    cdef public int mode
    cdef public object peer
    cdef public object progress
    cdef public H1Reader reader
    cdef public ReadControl reading
    cdef public ServerContext server
    cdef public Http1Shared shared
    cdef public double since
    cdef public Http1Stream stream
    cdef public Transport transport
    cdef public int waiting

    @cython.locals(server=ServerContext, stream=Http1Stream)
    cpdef begin(self, Head head)
    @cython.locals(stream=Http1Stream, exchange=Call)
    cpdef body(self, bytes data)
    @cython.locals(exchange=Call)
    cpdef end(self)
    @cython.locals(server=ServerContext, stream=Http1Stream, duration=double)
    cpdef complete(self, Call call)
    cpdef read_on(self)
