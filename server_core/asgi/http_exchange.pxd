from server_core.asgi.call cimport Call
from server_core.http.message cimport Head

cdef class Outlet:
    cpdef start(self, status, headers)
    cpdef respond(self, Call call, bytes data, bint more)
    cpdef hint(self, exchange, links)
    cpdef trail(self, exchange, fields, bint more)
    cpdef left(self, exchange)
    cpdef pour(self, exchange, part, bint more)
    cpdef bint is_full(self)
    cpdef future(self)
    cpdef wanted(self, exchange)
    cpdef taken(self)
    cpdef finished(self, Call call)
    cpdef failed(self, Call call, error)

cdef class Exchange(Call):
    cdef Outlet _outlet
    cdef public bint answered
    cdef public bint hung_up
    cdef public bint over
    cdef public bint told
