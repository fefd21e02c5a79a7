cdef class HttptoolsHeaders:
    cdef object _names
    cdef public list special
    cdef public list forwarded
    cdef list _fields
    cdef object _feed

    cpdef parse(self, bytes head)
    cpdef renew(self)
