cdef class HeldHeads:
    cdef long long _begun
    cdef bint _is_armed
    cdef object _server
    cdef dict _waiting

    cpdef expect(self)
