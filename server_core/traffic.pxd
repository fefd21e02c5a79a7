from server_core.http.h1_heads cimport Defaults

cdef class Traffic:
    cdef public object access_log
    cdef public bint announcing
    cdef public object app
    cdef public Defaults defaults
    cdef public bint draining
    cdef public list latency
    cdef public double latency_sum_s
    cdef public long long max_requests
    cdef public object new_task
    cdef public double now
    cdef public long long requests_total
    cdef public list responses
    cdef public object state
    cdef public bint vectored
