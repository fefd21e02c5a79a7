cdef class RequestLine:
    cdef readonly bytes authority
    cdef readonly dict extensions
    cdef readonly bint is_known
    cdef readonly bint is_plain
    cdef readonly str method
    cdef readonly dict scope
    cdef readonly str target
    cdef readonly str version

cdef class Framing:
    cdef readonly bint expects
    cdef readonly bint keep_alive
    cdef readonly long long length
    cdef readonly bytes upgrade

cdef class Head:
    cdef dict _by_name
    cdef public list fields
    cdef public list forwarded
    cdef public tuple lasting
    cdef public RequestLine line
    cdef public str request_id
    cdef public Framing rules

    cpdef renew(self, list fields, tuple lasting)
    cpdef dict by_name(self)
