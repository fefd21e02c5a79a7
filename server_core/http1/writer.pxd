from server_core.http1.response_head cimport ResponseHead, Defaults, ResponseHeadCache
from server_core.http.message cimport RequestLine

cdef class H1Writer:
    cdef ResponseHead _block
    cdef int _framing
    cdef ResponseHeadCache _heads
    cdef long long _length
    cdef dict _seen
    cdef public bint close
    cdef public bint is_held

    cpdef start(self, status, headers)
    cpdef first(self, bytes data, bint more, RequestLine line, bint keep_alive, Defaults defaults)
    cdef bytes _head(self, Py_ssize_t size, bint more, RequestLine line, bint keep_alive, Defaults defaults)
    cdef tuple _frame(self, Py_ssize_t size, bint more, RequestLine line)
    cpdef bytes body(self, bytes data, bint more)
