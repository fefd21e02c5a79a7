cpdef address(object name)
