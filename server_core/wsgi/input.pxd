cdef class Input:
    cdef Py_ssize_t _at
    cdef bytes _held
    cdef object _source

    cpdef bytes _take(self, Py_ssize_t limit)
