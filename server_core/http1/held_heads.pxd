cdef class HeldHeads:
    cdef long long _begun
    cdef bint _is_armed
    cdef public bint is_looked_after
    cdef object _server
    cdef public object starting
    cdef dict _waiting

    cpdef expect(self)
