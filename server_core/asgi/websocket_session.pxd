from server_core.asgi.call cimport Call

cdef class Link:
    cpdef transmit(self, data)
    cpdef close(self, code, reason)
    cpdef body_consumed(self)
    cpdef part(self)
    cpdef bint is_full(self)
    cpdef future(self)
    cpdef finished(self, WebSocketExchange session)
    cpdef failed(self, WebSocketExchange session, error)

cdef class WebSocketExchange(Call):
    cdef object _acceptor
    cdef Link _connection
    cdef int _code
    cdef object _door
    cdef bint _ending
    cdef object _inbox
    cdef str _reason
    cdef bint _told
    cdef public bint owes
    cdef public long long queued

    cpdef deliver(self, data)
