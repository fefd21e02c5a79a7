from server_core.http.wire cimport Head, RequestLine

cimport cython

@cython.locals(line=RequestLine, scope=dict)
cpdef dict build(dict base, Head head, state)
