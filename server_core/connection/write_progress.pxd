cdef class Progress:
    cdef double _body_began_at
    cdef double _body_waited_s
    cdef double _stalled_at
    cdef long long _taken_bytes
    cdef public long long unpoured_bytes
    cdef public long long written_bytes
