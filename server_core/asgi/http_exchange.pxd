from server_core.asgi.call cimport Call
from server_core.http.message cimport Head

cdef class HttpStream:
    cpdef start(self, status, headers)
    cpdef respond(self, Call call, bytes data, bint more)
    cpdef send_early_hints(self, exchange, links)
    cpdef send_trailers(self, exchange, fields, bint more)
    cpdef left(self, exchange)
    cpdef send_file(self, exchange, part, bint more)
    cpdef bint is_full(self)
    cpdef future(self)
    cpdef body_requested(self, exchange)
    cpdef body_consumed(self)
    cpdef finished(self, Call call)
    cpdef failed(self, Call call, error)

cdef class Exchange(Call):
    cdef HttpStream _stream
    cdef public bint answered
    cdef public bint hung_up
    cdef public bint over
    cdef public bint told
