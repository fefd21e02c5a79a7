cdef class Errors:
    cdef object _call
    cdef object _facts
    cdef object _log
    cdef list _parts
    cdef Py_ssize_t _size

    cpdef flush(self)
