cdef class EpollPoller:
    cdef object _epoll
    cdef object _loop
    cdef dict _watched
