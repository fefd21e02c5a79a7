from server_core.connection.context cimport ServerContext
from server_core.http.message cimport Head
from server_core.http1.stream cimport Http1Stream
from server_core.http1.writer cimport H1Writer
from server_core.http1.wsgi_connection cimport WsgiConnection
from server_core.http1.wsgi_exchange cimport WsgiExchange
from server_core.http1.wsgi_stream cimport SharedStream
from server_core.transport.base cimport Transport
from server_core.wsgi.response cimport ResponseHead

cimport cython

cdef class ThreadedExchange(WsgiExchange):
    cdef bint _is_settled
    cdef list _posted
    cdef long long _posted_bytes
    cdef object _waiter
    cdef public object error
    cdef public bint has_returned
    cdef public bint wants_body

    cpdef launch(self)
    cpdef wake(self)
    @cython.locals(connection=ThreadedConnection)
    cpdef settle_response(self)
    @cython.locals(connection=ThreadedConnection, writer=H1Writer)
    cpdef emit(self, ResponseHead head, bytes data, bint more)
    @cython.locals(connection=ThreadedConnection, stream=Http1Stream, writer=H1Writer, server=ServerContext, request=Head)
    cpdef _begin_response(self, ResponseHead head, bytes data, bint more)
    @cython.locals(connection=ThreadedConnection, transport=Transport, size=Py_ssize_t, sent=Py_ssize_t)
    cpdef _put(self, out)
    @cython.locals(connection=ThreadedConnection)
    cpdef _wait_for_room(self)
    @cython.locals(connection=ThreadedConnection, part=bytes)
    cpdef bytes take(self, Py_ssize_t limit)

cdef class ThreadedConnection(WsgiConnection):
    cdef public object lock

    @cython.locals(exchange=ThreadedExchange)
    cpdef _settle(self)
    cpdef read_on(self)
