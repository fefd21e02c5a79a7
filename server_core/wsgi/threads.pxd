cdef class Pool:
    cdef list _idle
    cdef bint _is_over
    cdef bint _is_waking
    cdef bint _is_watched
    cdef object _jobs
    cdef object _loop
    cdef public dict running
    cdef public int size
    cdef public int started

    cpdef submit(self, job)
    cdef _wake(self)
    cdef _watch(self)

cdef class Returns:
    cdef bint _is_called
    cdef object _loop
    cdef object _returned

    cpdef post(self, callback)
