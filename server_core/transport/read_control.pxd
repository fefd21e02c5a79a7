cdef class ReadControl:
    cdef object _transport
    cdef readonly bint is_paused

    cpdef pause(self)
    cpdef resume(self)
