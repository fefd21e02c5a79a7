from server_core.http.message cimport RequestLine

cdef class Call:
    cdef list _waiters
    cdef public bytes body
    cdef public bint gone
    cdef public RequestLine line
    cdef public dict phase
    cdef public bint received
    cdef public dict scope
    cdef public long long sent_bytes
    cdef public double started_at
    cdef public int status
    cdef public object task

    cpdef _begin(self, dict scope, RequestLine line, bint received, double now, dict phase)
    cpdef wake(self)
    cpdef wait(self, waiter)
