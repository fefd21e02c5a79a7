# syscalls.py in C, inline in whatever module cimports it.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.ref cimport Py_DECREF, PyObject

cdef extern from "Python.h":
    bytes new_bytes "PyBytes_FromStringAndSize" (const char *content, Py_ssize_t size)
    PyObject *new_place "PyBytes_FromStringAndSize" (const char *content, Py_ssize_t size) except NULL
    char *content_of "PyBytes_AS_STRING" (PyObject *place)
    int shrink "_PyBytes_Resize" (PyObject **place, Py_ssize_t size) except -1

cdef extern from "sys/uio.h" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t c_writev "writev" (int fd, const iovec *parts, int count)

cdef extern from "unistd.h" nogil:
    int c_close "close" (int fd)
    ssize_t c_read "read" (int fd, void *place, size_t size)
    ssize_t c_write "write" (int fd, const void *place, size_t size)

cdef extern from "time.h" nogil:
    ctypedef long time_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    enum: CLOCK_MONOTONIC
    int c_gettime "clock_gettime" (int clock, timespec *now)

cdef inline double monotonic() noexcept:
    cdef timespec now
    c_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9

cdef enum:
    FEW_BYTES = 4096
    READ_BYTES = 65536

cdef inline bytes receive(int fd, bint is_much):
    cdef char few[FEW_BYTES]
    cdef ssize_t got
    if is_much:
        return receive_much(fd)
    got = c_read(fd, few, FEW_BYTES)
    if got < 0:
        PyErr_SetFromErrno(OSError)
    return new_bytes(few, got)

cdef inline bytes receive_much(int fd):
    cdef PyObject *place = new_place(NULL, READ_BYTES)
    cdef ssize_t got = c_read(fd, content_of(place), READ_BYTES)
    if got < 0:
        Py_DECREF(<object>place)
        PyErr_SetFromErrno(OSError)
    shrink(&place, got)
    data = <bytes>place
    Py_DECREF(data)
    return data

cdef inline Py_ssize_t send(int fd, bytes data) except -1:
    cdef ssize_t sent = c_write(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if sent < 0:
        PyErr_SetFromErrno(OSError)
    return sent

cdef inline Py_ssize_t send_both(int fd, tuple parts) except -1:
    cdef iovec both[2]
    cdef bytes first = parts[0]
    cdef bytes second = parts[1]
    cdef ssize_t sent
    both[0].iov_base = PyBytes_AS_STRING(first)
    both[0].iov_len = PyBytes_GET_SIZE(first)
    both[1].iov_base = PyBytes_AS_STRING(second)
    both[1].iov_len = PyBytes_GET_SIZE(second)
    sent = c_writev(fd, both, 2)
    if sent < 0:
        PyErr_SetFromErrno(OSError)
    return sent

cdef inline int close(int fd) except -1:
    if c_close(fd) < 0:
        PyErr_SetFromErrno(OSError)
    return 0
