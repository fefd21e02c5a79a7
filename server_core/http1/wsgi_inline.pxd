from server_core.http1.connection cimport Http1Connection
from server_core.http1.stream cimport Http1Stream
from server_core.http1.wsgi_exchange cimport WsgiExchange
from server_core.wsgi.response cimport ResponseHead

cimport cython

cdef class InlineExchange(WsgiExchange):
    cdef double _waited_s

    cpdef launch(self)
    @cython.locals(connection=Http1Connection, stream=Http1Stream, out=bytes)
    cpdef emit(self, ResponseHead head, bytes data, bint more)
    @cython.locals(connection=Http1Connection, part=bytes)
    cpdef bytes take(self, Py_ssize_t limit)
