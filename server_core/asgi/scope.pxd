from server_core.http.message cimport Head, RequestLine

cimport cython

cdef dict ASGI

@cython.locals(line=RequestLine, scope=dict)
cpdef dict build(dict base, Head head, state)
