from server_core.traffic cimport Traffic

cdef class HeldHeads:
    cdef long long _begun
    cdef bint _is_armed
    cdef Traffic _server
    cdef dict _waiting

    cpdef expect(self)
