from server_core.asgi.http_exchange cimport Exchange
from server_core.http1.connection cimport Http1Connection
from server_core.http1.stream cimport Http1Stream
from server_core.wsgi.errors cimport Errors
from server_core.wsgi.input cimport Input
from server_core.wsgi.response cimport Response, ResponseHead

cdef class WsgiExchange(Exchange):
    cdef object _body
    cdef dict _environ
    cdef Errors _errors
    cdef object _file
    cdef Py_ssize_t _size
    cdef public Http1Connection connection
    cdef public bint is_launched
    cdef public bint is_running
    cdef public object served
    cdef public Http1Stream stream

    cpdef bytes _pop(self, Py_ssize_t limit)
    cpdef end(self, error)
    cpdef wake(self)
    cpdef launch(self)
    cpdef emit(self, ResponseHead head, bytes data, bint more)
    cpdef bytes take(self, Py_ssize_t limit)
