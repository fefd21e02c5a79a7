from server_core.transport cimport Transport

cdef int READABLE
cdef int WRITABLE

cdef class Stream(Transport):
    cdef bint _closing
    cdef bint _ended
    cdef int _events
    cdef int _fd
    cdef bint _full
    cdef object _kept
    cdef Py_ssize_t _kept_bytes
    cdef object _loop
    cdef object _poller
    cdef object _protocol
    cdef bint _reading
    cdef bint _shut

    cpdef ready(self, int events)
    cpdef _watch(self)
    cdef bint _read(self) except -1
    cpdef write(self, bytes data)
    cpdef writelines(self, tuple parts)
    cpdef bint is_closing(self) except -1
    cpdef close(self)
