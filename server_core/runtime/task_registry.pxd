cdef class Entrance:
    cdef object _discard
    cdef set _references

    cpdef add(self, task)
