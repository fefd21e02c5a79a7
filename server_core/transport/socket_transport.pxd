from server_core.transport cimport syscalls
from server_core.transport.base cimport Transport

cimport cython

cdef int READABLE
cdef int WRITABLE

cdef class SocketTransport(Transport):
    cdef bint _closing
    cdef bint _ended
    cdef int _events
    cdef int _fd
    cdef bint _full
    cdef bint _is_much
    cdef object _kept
    cdef object _loop
    cdef object _poller
    cdef object _protocol
    cdef bint _reading
    cdef bint _shut
    cdef long long _taken_bytes

    cpdef ready(self, int events)
    cpdef _watch(self)
    @cython.locals(data=bytes)
    cdef bint _read(self) except -1
    @cython.locals(sent=Py_ssize_t)
    cpdef write(self, bytes data)
    @cython.locals(sent=Py_ssize_t, part=bytes)
    cpdef writelines(self, tuple parts)
    cpdef write_last(self, data)
    cpdef bint is_closing(self) except -1
    cpdef close(self)
