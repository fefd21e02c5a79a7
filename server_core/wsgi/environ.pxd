from server_core.http.message cimport RequestLine

cdef class Environs:
    cdef dict _constant
    cdef dict _lines
    cdef str _root_path

    cpdef dict make(self, RequestLine line, dict scope, dict of_fields)

cdef _add_ends(dict environ, scope)
