cdef class Progress:
    cdef double _body_began_at
    cdef double _body_waited_s
    cdef double _stalled_at
    cdef long long _taken_bytes
