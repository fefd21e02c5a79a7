from server_core.http.message cimport Head, RequestLine

cimport cython

cdef class H1Reader:
    cdef object _body_limit
    cdef object _chunked
    cdef Py_ssize_t _fields_limit
    cdef list _forwarded
    cdef Head _head
    cdef Py_ssize_t _head_limit
    cdef bytes _last
    cdef Py_ssize_t _line_limit
    cdef object _lines
    cdef object _parser
    cdef long long _remaining
    cdef Py_ssize_t _scanned
    cdef dict _seen
    cdef object _sink
    cdef int _state
    cdef public bytes held

    @cython.locals(end=Py_ssize_t, line_end=Py_ssize_t, is_same=bint, last=bytes, head=Head, line=RequestLine)
    cpdef feed(self, bytes data)
    cdef _parse(self, RequestLine line, bytes data, bytes rest)
    cpdef close(self)
    cpdef next(self)
    cdef _begin_body(self, Head head)
    cdef _read_body(self, bytes data)
