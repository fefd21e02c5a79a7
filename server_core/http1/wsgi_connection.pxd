from server_core.http.message cimport Head
from server_core.http1.connection cimport Http1Connection
from server_core.http1.reader cimport H1Reader
from server_core.http1.wsgi_exchange cimport WsgiExchange
from server_core.wsgi.environ cimport Environs

cimport cython

cdef class WsgiConnection(Http1Connection):
    cdef dict _last_environ
    cdef object _last_fields
    cdef object _runs

    cpdef begin(self, Head head)
    cpdef body(self, bytes data)
    @cython.locals(environs=Environs)
    cpdef dict _new_environ(self, Head head, dict scope)
