cdef class Defaults:
    cdef readonly bytes end
    cdef readonly tuple lines

cdef class ResponseHead:
    cdef readonly Defaults behind
    cdef readonly bint close
    cdef readonly bint coded
    cdef readonly bytes counted
    cdef readonly frozenset given
    cdef readonly bint is_plain
    cdef readonly long long length
    cdef readonly bytes plain
    cdef readonly int status
    cdef readonly bytes whole

    cpdef renew(self, Defaults defaults)

cdef class ResponseHeadCache:
    cdef object _fixed
    cdef frozenset _names
    cdef readonly dict seen
