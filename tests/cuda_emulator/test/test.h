/* What the emulator's own tests share. */
#ifndef HL_CUDA_EMULATOR_TEST_H
#define HL_CUDA_EMULATOR_TEST_H

#include "tests/cuda_emulator/emulator.h"
#include "tests/cuda_emulator/faults.h"
#include "tests/cuda_emulator/grid.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}
#undef fail /* a name of the C++ library's */

#include <vector>

#define GOOD(call) assert_int_equal(call, cudaSuccess)

extern const std::vector<CMUnitTest> block_tests, stream_tests, capture_tests, fault_tests, library_tests;

/* n numbers on the device, which are NaN, or those that are given. */
template <class T> T *on_device(size_t n, const T *from = nullptr)
{
    void *p;
    GOOD(cudaMalloc(&p, n * sizeof(T)));
    if (from)
        GOOD(cudaMemcpy(p, from, n * sizeof(T), cudaMemcpyHostToDevice));
    return static_cast<T *>(p);
}

template <class T> T *on_device(const std::vector<T> &from)
{
    return on_device(from.size(), from.data());
}

template <class T> std::vector<T> from_device(const T *p, size_t n)
{
    std::vector<T> to(n);
    GOOD(cudaMemcpy(to.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return to;
}

/* Runs f in a process of its own: true if it aborts after having said `what` on the standard error. */
bool aborts(void (*f)(), const char *what);

#endif
