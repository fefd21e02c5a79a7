from server_core.listen.fair_accept cimport FairAccept

cdef class Acceptor:
    cdef object _adopt
    cdef object _crowd
    cdef object _emptying
    cdef object _held
    cdef bint _is_rested
    cdef bint _joined
    cdef FairAccept _loads
    cdef object _loop
    cdef dict _reasons
    cdef double _retry_s
    cdef public dict _sockets
    cdef readonly dict adopting

    cpdef release(self, str reason)
    cpdef tell(self)
    cpdef _take(self, listener)
