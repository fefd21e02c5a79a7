from server_core.transport.socket_transport cimport SocketTransport

cimport cython

cdef class EpollPoller:
    cdef object _after
    cdef object _epoll
    cdef object _loop
    cdef list _new
    cdef dict _watched

    @cython.locals(who=SocketTransport)
    cpdef _turn(self)
