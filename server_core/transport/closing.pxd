cdef class LingeringClose:
    cdef bint _is_lost
    cdef double _longest_until
    cdef long long _seen_bytes
    cdef object _server
    cdef object _timer
    cdef object _transport

    cpdef lose(self)
    cpdef close(self)
