cdef class PendingConnection:
    cdef object _coroutine
    cdef object _loop
    cdef object _settled
    cdef object _waits_for

    cpdef go(self, waited=*)
