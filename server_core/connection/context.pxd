from server_core.http1.response_head cimport Defaults, Heads

cdef class Traffic:
    cdef public object access_log
    cdef public bint announcing
    cdef public object app
    cdef public dict connections
    cdef public Defaults defaults
    cdef public bint draining
    cdef public object headers
    cdef public Heads heads
    cdef public object held_heads
    cdef public bint is_last
    cdef public bint is_looked_after
    cdef public list latency
    cdef public double latency_sum_s
    cdef public object lines
    cdef public object loop
    cdef public long long max_requests
    cdef public object asyncio_loop
    cdef public object new_context
    cdef public object new_writer
    cdef public double now
    cdef public object origin
    cdef public long long requests_total
    cdef public list responses
    cdef public object settings
    cdef public object starting
    cdef public object state
    cdef public object tls
