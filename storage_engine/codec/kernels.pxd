from storage_engine.kernels.column cimport lh_kernel_table

# What other rooms set their own `lh_kernels` to; never NULL.
cdef const lh_kernel_table *kernel_table() noexcept nogil
