cdef class Transport:
    cpdef write(self, bytes data)
    cpdef writelines(self, tuple parts)
    cpdef bint is_closing(self) except -1
