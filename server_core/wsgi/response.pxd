cdef class ResponseHead:
    cdef public tuple fields
    cdef public long long length
    cdef public int status
    cdef public object text

cpdef ResponseHead head_of(status, headers)

cdef class Response:
    cdef bint _has_left
    cdef ResponseHead _head
    cdef bint _is_complete
    cdef long long _left
    cdef object _outlet

    cpdef run(self, app, environ)
    cpdef _part(self, bytes data)
    cpdef _end(self, data)
    cpdef ResponseHead _started(self)
