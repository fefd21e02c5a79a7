from server_core.http1.held_heads cimport HeldHeads
from server_core.http1.response_head cimport Defaults, ResponseHeadCache

cdef class Http1Shared:
    cdef object _settings
    cdef public Defaults defaults
    cdef public object headers
    cdef public ResponseHeadCache heads
    cdef public HeldHeads held_heads
    cdef public object lines
    cdef public object new_writer
    cdef public object parser
    cdef public object upgrade
