cdef class Transport:
    cpdef write(self, bytes data)
    cpdef writelines(self, tuple parts)
    cpdef write_last(self, data)
    cpdef bint is_closing(self) except -1
