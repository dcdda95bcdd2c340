/* Faults on demand, and launches that are wrong. */
#include "tests/cuda_emulator/test/test.h"

#include <csignal>

static __global__ void set(float *x, float value)
{
    *x = value;
}

static void the_nth_call_fails(void **)
{
    void *p[4] = {};
    hl_fault_inject("cudaMalloc", 3, cudaErrorMemoryAllocation);
    GOOD(cudaMalloc(&p[0], 8));
    GOOD(cudaMalloc(&p[1], 8));
    assert_int_equal(hl_fault_pending(), 1);
    assert_int_equal(cudaMalloc(&p[2], 8), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_int_equal(hl_fault_pending(), 0);
    assert_null(p[2]);
    GOOD(cudaMalloc(&p[3], 8));
    assert_int_equal(hl_emulated_calls("cudaMalloc"), 4);
    for (void *q : p)
        GOOD(cudaFree(q));
}

static void a_machine_may_have_no_driver_or_no_device(void **)
{
    int n = -1, version;
    void *p;
    hl_fault_driver(0);
    assert_int_equal(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    assert_int_equal(n, 0);
    GOOD(cudaDriverGetVersion(&version));
    assert_int_equal(version, 0);
    hl_fault_reset();
    hl_fault_devices(0);
    assert_int_equal(cudaGetDeviceCount(&n), cudaErrorNoDevice);
    assert_int_equal(cudaMalloc(&p, 8), cudaErrorNoDevice);
    hl_fault_devices(2);
    GOOD(cudaGetDeviceCount(&n));
    assert_int_equal(n, 2);
    assert_int_equal(cudaSetDevice(2), cudaErrorInvalidDevice);
    GOOD(cudaSetDevice(1));
    GOOD(cudaSetDevice(0));
}

static void an_error_of_the_device_sticks(void **)
{
    const float one = 1;
    float *x = on_device(1, &one), host;
    hl_fault_inject("kernel", 2, cudaErrorECCUncorrectable);
    hl_emulated_launch(set, 1, 1, 0, nullptr, x, 2.0f);
    hl_emulated_launch(set, 1, 1, 0, nullptr, x, 3.0f);
    GOOD(cudaGetLastError()); /* nobody has waited */
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorECCUncorrectable);
    assert_int_equal(cudaMemcpy(&host, x, 4, cudaMemcpyDeviceToHost), cudaErrorECCUncorrectable);
    assert_int_equal(cudaGetLastError(), cudaErrorECCUncorrectable);
    assert_int_equal(cudaGetLastError(), cudaErrorECCUncorrectable);
    hl_fault_sticky(0);
    assert_true(from_device(x, 1)[0] == 2);
    cudaFree(x);
}

static void a_kernel_that_is_given_memory_of_the_host_breaks_the_device(void **)
{
    float host = 1;
    hl_emulated_launch(set, 1, 1, 0, nullptr, &host, 2.0f);
    GOOD(cudaGetLastError());
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    assert_true(host == 1);
}

/* Page-locked memory is before both; the host sees what a kernel wrote once it has waited. */
static void a_machine_may_have_one_memory(void **)
{
    int integrated, coherent;
    cudaDeviceProp properties;
    float *x;
    hl_fault_integrated(true, false);
    GOOD(cudaDeviceGetAttribute(&integrated, cudaDevAttrIntegrated, 0));
    GOOD(cudaDeviceGetAttribute(&coherent, cudaDevAttrHostRegisterSupported, 0));
    GOOD(cudaGetDeviceProperties(&properties, 0));
    assert_true(integrated == 1 && coherent == 0);
    assert_true(properties.integrated == 1 && properties.hostRegisterSupported == 0);
    GOOD(cudaHostAlloc(reinterpret_cast<void **>(&x), sizeof *x, cudaHostAllocMapped));
    *x = 1;
    hl_emulated_launch(set, 1, 1, 0, nullptr, x, 2.0f);
    assert_true(*x == 1);
    GOOD(cudaDeviceSynchronize());
    assert_true(*x == 2);
    GOOD(cudaFreeHost(x));
}

static void the_host_cannot_touch_memory_of_the_device(void **)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer reports the signal, and ends the process otherwise */
#else
    static sigjmp_buf back;
    static volatile float *x;
    x = on_device<float>(1);
    struct sigaction act = {}, before;
    act.sa_handler = [](int) { siglongjmp(back, 1); };
    sigaction(SIGSEGV, &act, &before);
    static volatile bool touched;
    static volatile float read;
    if (sigsetjmp(back, 1) == 0) {
        read = *x;
        touched = true;
    }
    (void)read;
    sigaction(SIGSEGV, &before, nullptr);
    assert_false(touched);
    cudaFree(const_cast<float *>(x));
#endif
}

static cudaError_t launched(dim3 grid, dim3 block, size_t shared)
{
    hl_emulated_launch(set, grid, block, shared, nullptr, static_cast<float *>(nullptr), 0.0f);
    return cudaGetLastError();
}

static void launches_beyond_the_limits_are_refused(void **)
{
    assert_int_equal(launched(1, 1025, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launched(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launched(dim3(1, 1, 65536), 1, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launched(dim3(0, 1), 1, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launched(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launched(1, 1, 49153), cudaErrorInvalidValue);
    assert_int_equal(cudaFuncSetAttribute(set, cudaFuncAttributeMaxDynamicSharedMemorySize, 232449),
                     cudaErrorInvalidValue);
}

static __global__ void fill_shared(float *x, int n)
{
    float *scratch = static_cast<float *>(hl_emulated_shared());
    for (int i = 0; i < n; i++)
        scratch[i] = 1;
    *x = scratch[n - 1];
}

static void more_shared_memory_is_for_those_who_asked(void **)
{
    float *x = on_device<float>(1);
    GOOD(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10));
    hl_emulated_launch(fill_shared, 1, 1, 100 << 10, nullptr, x, 25 << 10);
    GOOD(cudaGetLastError());
    assert_true(from_device(x, 1)[0] == 1);
    cudaFree(x);
}

static void names_that_nobody_has_are_an_error_of_the_test(void **)
{
    assert_true(aborts([] { hl_fault_inject("cudaMallocc", 1, 1); }, "cudaMallocc"));
}

const std::vector<CMUnitTest> fault_tests = {
    cmocka_unit_test(the_nth_call_fails),
    cmocka_unit_test(a_machine_may_have_no_driver_or_no_device),
    cmocka_unit_test(an_error_of_the_device_sticks),
    cmocka_unit_test(a_kernel_that_is_given_memory_of_the_host_breaks_the_device),
    cmocka_unit_test(a_machine_may_have_one_memory),
    cmocka_unit_test(the_host_cannot_touch_memory_of_the_device),
    cmocka_unit_test(launches_beyond_the_limits_are_refused),
    cmocka_unit_test(more_shared_memory_is_for_those_who_asked),
    cmocka_unit_test(names_that_nobody_has_are_an_error_of_the_test),
};
