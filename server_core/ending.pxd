cdef class Ending:
    cdef bint _is_lost
    cdef object _loop
    cdef object _timer
    cdef object _transport
    cdef readonly bint is_tls

    cpdef lose(self)
    cpdef close(self)
