cdef class ServerContext:
    cdef public object access_log
    cdef public bint announcing
    cdef public object app
    cdef public object asyncio_loop
    cdef public object close_later
    cdef public dict connections
    cdef public object counters
    cdef public bint draining
    cdef public object failures
    cdef public bint is_last
    cdef public list latency
    cdef public double latency_sum_s
    cdef public object log
    cdef public object loop
    cdef public long long max_requests
    cdef public object new_context
    cdef public double now
    cdef public object origin
    cdef public object reach_max_requests
    cdef public object registry
    cdef public long long requests_total
    cdef public list responses
    cdef public object settings
    cdef public object state
    cdef public double swept_after_s
    cdef public object tls
