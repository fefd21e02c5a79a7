cdef class HttptoolsHeaders:
    cdef object _names
    cdef public list special
    cdef public list forwarded
    cdef public int dropped
    cdef public long long dropped_total
    cdef list _fields
    cdef object _feed

    cpdef parse(self, bytes head)
    cpdef renew(self)
