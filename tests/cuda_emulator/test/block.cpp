/* Threads of a block: barriers, shuffles, shared memory. */
#include "tests/cuda_emulator/test/test.h"

#include <cmath>

static const order orders[] = {ORDER_FORWARD, ORDER_REVERSE, ORDER_SHUFFLE};

/* ------------------------------------------------------------------ barriers */

static __global__ void turn_round(int *to, const int *from)
{
    __shared__ int tile[256];
    const int i = (int)threadIdx.x, n = (int)blockDim.x;
    tile[i] = from[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    to[blockIdx.x * blockDim.x + threadIdx.x] = tile[n - 1 - i];
}

static void a_barrier_separates_writing_from_reading(void **)
{
    std::vector<int> numbers(5 * 256);
    for (size_t i = 0; i < numbers.size(); i++)
        numbers[i] = (int)i;
    int *from = on_device(numbers), *to = on_device<int>(numbers.size());
    for (order order : orders) {
        order_set(order);
        hl_emulated_launch(turn_round, 5, 256, 0, nullptr, to, from);
        GOOD(cudaGetLastError());
        std::vector<int> got = from_device(to, numbers.size());
        for (int i = 0; i < (int)got.size(); i++)
            assert_int_equal(got[(size_t)i], i / 256 * 256 + 255 - i % 256);
    }
    cudaFree(from);
    cudaFree(to);
}

/* The barrier before reading is missing: right while threads run in order, since each reads what the one
 * before it wrote. */
static __global__ void take_from_neighbour(int *to)
{
    __shared__ int tile[64];
    tile[threadIdx.x] = (int)threadIdx.x;
    to[threadIdx.x] = threadIdx.x ? tile[threadIdx.x - 1] : 0;
}

static bool neighbours_are_right(order order)
{
    int *to = on_device<int>(64);
    bool right = true;
    order_set(order);
    hl_emulated_launch(take_from_neighbour, 1, 64, 0, nullptr, to);
    std::vector<int> got = from_device(to, 64);
    for (int i = 1; i < 64; i++)
        right = right && got[(size_t)i] == i - 1;
    cudaFree(to);
    return right;
}

static void another_order_shows_a_missing_barrier(void **)
{
    assert_false(neighbours_are_right(ORDER_REVERSE));
    assert_true(neighbours_are_right(ORDER_FORWARD));
#ifndef __SANITIZE_ADDRESS__
    /* What the last block left in the tile, right numbers, must not help. */
    assert_false(neighbours_are_right(ORDER_REVERSE));
#endif
}

static __global__ void many_barriers(int *sums)
{
    __shared__ int places[96];
    places[threadIdx.x] = (int)threadIdx.x;
    for (unsigned width = 1; width < blockDim.x; width *= 2) {
        __syncthreads();
        int other = threadIdx.x + width < blockDim.x ? places[threadIdx.x + width] : 0;
        __syncthreads();
        places[threadIdx.x] += other;
    }
    sums[threadIdx.x] = places[threadIdx.x];
}

static void barriers_follow_each_other(void **)
{
    int *sums = on_device<int>(96);
    for (order order : orders) {
        order_set(order);
        hl_emulated_launch(many_barriers, 1, 96, 0, nullptr, sums);
        std::vector<int> got = from_device(sums, 96);
        for (int i = 0; i < 96; i++)
            assert_int_equal(got[(size_t)i], 95 * 96 / 2 - i * (i - 1) / 2);
    }
    cudaFree(sums);
}

static __global__ void threads_that_end_early(int *to, int n)
{
    if ((int)threadIdx.x >= n)
        return;
    __syncthreads();
    to[threadIdx.x] = 1;
}

static void a_barrier_does_not_wait_for_threads_that_have_ended(void **)
{
    int *to = on_device<int>(70);
    for (order order : orders) {
        order_set(order);
        hl_emulated_launch(threads_that_end_early, 1, 70, 0, nullptr, to, 41);
        assert_int_equal(from_device(to, 70)[40], 1);
    }
    cudaFree(to);
}

static __global__ void different_barriers(int *to)
{
    if (threadIdx.x % 2)
        __syncthreads();
    else
        __syncthreads();
    *to = 1;
}

static __global__ void half_at_a_shuffle(int *to)
{
    if (threadIdx.x < 16)
        *to = __shfl_sync(0xffffffffu, 1, 0);
    else
        __syncthreads();
}

template <class K> static void launch_alone(K *kernel)
{
    int *to = on_device<int>(1);
    hl_emulated_launch(kernel, 1, 32, 0, nullptr, to);
    cudaDeviceSynchronize();
}

static void a_barrier_that_not_all_reach_is_reported(void **)
{
    assert_true(aborts([] { launch_alone(different_barriers); }, "at different places"));
    assert_true(aborts([] { launch_alone(half_at_a_shuffle); }, "that never come"));
    assert_true(aborts([] { launch_alone(half_at_a_shuffle); }, "block.cpp"));
}

/* ------------------------------------------------------------------ warps */

template <class T> static __global__ void shuffles(T *to)
{
    const T own = (T)(1000 + threadIdx.x);
    T *mine = to + 6 * threadIdx.x;
    mine[0] = __shfl_sync(0xffffffffu, own, 5);
    mine[1] = __shfl_xor_sync(0xffffffffu, own, 3);
    mine[2] = __shfl_up_sync(0xffffffffu, own, 2);
    mine[3] = __shfl_down_sync(0xffffffffu, own, 2);
    mine[4] = __shfl_sync(0xffffffffu, own, 9, 8);
    mine[5] = __shfl_down_sync(0xffffffffu, own, 1, 4);
}

template <class T> static void shuffles_of()
{
    T *to = on_device<T>(6 * 64);
    for (order order : orders) {
        order_set(order);
        hl_emulated_launch(shuffles<T>, 1, 64, 0, nullptr, to);
        std::vector<T> got = from_device(to, 6 * 64);
        for (int i = 0; i < 64; i++) {
            const int lane = i % 32, warp = i - lane;
            const int want[6] = {warp + 5,
                                 i ^ 3,
                                 lane < 2 ? i : i - 2,
                                 lane > 29 ? i : i + 2,
                                 i / 8 * 8 + 1,
                                 i % 4 == 3 ? i : i + 1};
            for (int k = 0; k < 6; k++)
                assert_true(got[(size_t)(6 * i + k)] == (T)(1000 + want[k]));
        }
    }
    cudaFree(to);
}

static void shuffles_move_values_within_a_warp(void **)
{
    shuffles_of<int>();
    shuffles_of<unsigned>();
    shuffles_of<float>();
    shuffles_of<double>();
    shuffles_of<int64_t>();
}

static __global__ void votes(unsigned *to)
{
    unsigned lane = threadIdx.x % 32;
    unsigned ballot = __ballot_sync(0xffffffffu, lane % 3 == 0);
    int any = __any_sync(0xffffffffu, lane == 7), none = __any_sync(0xffffffffu, 0);
    int all = __all_sync(0xffffffffu, 1), not_all = __all_sync(0xffffffffu, lane != 7);
    if (threadIdx.x == 0) {
        to[0] = ballot;
        to[1] = (unsigned)(any + 2 * !none + 4 * all + 8 * !not_all);
    }
}

static void votes_are_counted(void **)
{
    unsigned *to = on_device<unsigned>(2);
    hl_emulated_launch(votes, 1, 32, 0, nullptr, to);
    std::vector<unsigned> got = from_device(to, 2);
    assert_int_equal(got[0], 0x49249249u);
    assert_int_equal(got[1], 15);
    cudaFree(to);
}

static __global__ void warps_apart(float *to)
{
    float x = (float)threadIdx.x;
    for (unsigned i = 0; i < 1 + threadIdx.x / 32; i++) /* more rounds in later warps */
        for (int bits = 16; bits; bits /= 2)
            x += __shfl_xor_sync(0xffffffffu, x, bits);
    to[threadIdx.x] = x;
}

static void warps_do_not_wait_for_each_other(void **)
{
    float *to = on_device<float>(128);
    hl_emulated_launch(warps_apart, 1, 128, 0, nullptr, to);
    std::vector<float> got = from_device(to, 128);
    for (int warp = 0; warp < 4; warp++)
        assert_true(got[(size_t)(32 * warp + 3)] ==
                    (float)(31 * 16 + 32 * 32 * warp) * powf(32, (float)warp));
    cudaFree(to);
}

/* ------------------------------------------------------------------ shared memory, indices */

static __global__ void read_before_write(float *to)
{
    float *scratch = static_cast<float *>(hl_emulated_shared());
    to[blockIdx.x] = scratch[7];
    scratch[7] = 1;
}

template <class T> static __global__ void read_static_before_write(T *to)
{
    __shared__ T scratch[3];
    to[blockIdx.x] = scratch[1];
    scratch[1] = 1;
}

static void static_shared_memory_starts_as_nan(void **)
{
#ifdef __SANITIZE_ADDRESS__
    skip();
#else
    double *to = on_device<double>(3);
    hl_emulated_launch(read_static_before_write<double>, 3, 1, 0, nullptr, to);
    for (double got : from_device(to, 3))
        assert_true(std::isnan(got));
    cudaFree(to);
#endif
}

static void dynamic_shared_memory_starts_as_nan(void **)
{
    float *to = on_device<float>(2);
    hl_emulated_launch(read_before_write, 2, 1, 64, nullptr, to);
    std::vector<float> got = from_device(to, 2);
    assert_true(std::isnan(got[0]) && std::isnan(got[1]));
    cudaFree(to);
}

static __global__ void count(int *visits, unsigned *wrong)
{
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned before = thread;
    __syncthreads();
    visits[block * blockDim.x * blockDim.y * blockDim.z + thread]++;
    if (before != threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z))
        ++*wrong;
}

static void every_thread_of_every_block_runs_once(void **)
{
    const dim3 grid(3, 2, 5), block(7, 3, 2);
    const size_t n = 30 * 42;
    const unsigned zero = 0;
    for (order order : orders) {
        int *visits = on_device(std::vector<int>(n));
        unsigned *wrong = on_device(1, &zero);
        order_set(order);
        hl_emulated_launch(count, grid, block, 0, nullptr, visits, wrong);
        for (int visit : from_device(visits, n))
            assert_int_equal(visit, 1);
        assert_int_equal(from_device(wrong, 1)[0], 0);
        cudaFree(visits);
        cudaFree(wrong);
    }
}

const std::vector<CMUnitTest> block_tests = {
    cmocka_unit_test(a_barrier_separates_writing_from_reading),
    cmocka_unit_test(another_order_shows_a_missing_barrier),
    cmocka_unit_test(barriers_follow_each_other),
    cmocka_unit_test(a_barrier_does_not_wait_for_threads_that_have_ended),
    cmocka_unit_test(a_barrier_that_not_all_reach_is_reported),
    cmocka_unit_test(shuffles_move_values_within_a_warp),
    cmocka_unit_test(votes_are_counted),
    cmocka_unit_test(warps_do_not_wait_for_each_other),
    cmocka_unit_test(static_shared_memory_starts_as_nan),
    cmocka_unit_test(dynamic_shared_memory_starts_as_nan),
    cmocka_unit_test(every_thread_of_every_block_runs_once),
};
