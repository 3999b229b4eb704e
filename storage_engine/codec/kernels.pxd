from storage_engine.kernels.column cimport lh_kernel_table

# What other rooms set their own `lh_kernels` to; never NULL.
cdef const lh_kernel_table *kernel_table() noexcept nogil

# The table of a name; raises InvalidArgument for one that does not run here.
cdef const lh_kernel_table *table_of(object name) except NULL
