from server_core.transport cimport syscalls
from server_core.transport.socket_transport cimport SocketTransport

cdef class SharedStream(SocketTransport):
    cdef object _lock

    cpdef ready(self, int events)
    cpdef Py_ssize_t offer(self, out) except -1
