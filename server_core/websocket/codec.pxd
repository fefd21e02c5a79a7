cimport cython

cdef class FrameCodec:
    cdef bytes _answers
    cdef int _begun
    cdef object _binary
    cdef bint _closed
    cdef object _decoder
    cdef object _deflate
    cdef object _deliver
    cdef dict _heads
    cdef bytes _held
    cdef bint _last
    cdef object _left
    cdef object _mask
    cdef object _max
    cdef object _offset
    cdef object _size
    cdef bint _squeezed
    cdef object _text
    cdef public object ended

    cpdef bytes receive(self, bytes data)
    @cython.locals(at=Py_ssize_t, size=Py_ssize_t, start=Py_ssize_t, opcode=int, head=tuple)
    cdef _read(self, bytes data)
    @cython.locals(first=int, size=Py_ssize_t)
    cpdef message(self, data)
