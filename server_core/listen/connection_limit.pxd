from server_core.connection.context cimport ServerContext

cdef class ConnectionLimit:
    cdef Py_ssize_t _allowed
    cdef object _failing
    cdef object _full
    cdef set _leaving
    cdef Py_ssize_t _limit
    cdef object _listeners
    cdef object _on_close
    cdef object _on_settled
    cdef object _reserved_from
    cdef double _search_at
    cdef ServerContext _server
    cdef object _short
    cdef object _spared

    cdef _look(self)
    cdef _release_limit(self)
    cdef Py_ssize_t _count(self)
    cdef bint _is_full(self)
