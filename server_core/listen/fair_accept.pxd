cdef class FairAccept:
    cdef double _beat_at
    cdef object _memory
    cdef Py_ssize_t _offset
    cdef Py_ssize_t _slot
    cdef double _stale_s
    cdef Py_ssize_t _told

    cpdef store(self, Py_ssize_t connections)
    cpdef withdraw(self)
    cpdef lead(self, waiting=*)
    cdef Py_ssize_t _entries(self)
