cdef class Tap:
    cdef object _transport
    cdef readonly bint is_shut

    cpdef shut(self)
    cpdef open(self)
