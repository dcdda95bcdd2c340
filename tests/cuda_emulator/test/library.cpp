/* cuBLASLt's product and cuDNN's convolutions against loops over their definitions. */
#include "tests/cuda_emulator/test/test.h"

#include <cublasLt.h>
#include <cudnn.h>

#include <cmath>

static std::vector<float> numbers(size_t n, unsigned seed)
{
    std::vector<float> x(n);
    for (float &v : x) {
        seed = seed * 1664525u + 1013904223u;
        v = (float)(seed >> 8) / 8388608.0f - 1;
    }
    return x;
}

static void assert_close(const std::vector<float> &got, const std::vector<double> &want, double limit)
{
    assert_int_equal(got.size(), want.size());
    for (size_t i = 0; i < got.size(); i++)
        assert_true(fabs(got[i] - want[i]) <= limit * (1 + fabs(want[i])));
}

/* ------------------------------------------------------------------ products */

static const int ROWS = 7, COLS = 5, TERMS = 11;

struct product {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    product(cublasOperation_t ta, cublasOperation_t tb, cublasComputeType_t compute = CUBLAS_COMPUTE_32F,
            cudaDataType_t type = CUDA_R_32F, cudaDataType_t result = CUDA_R_32F)
    {
        const bool a_turned = ta != CUBLAS_OP_N, b_turned = tb != CUBLAS_OP_N;
        GOOD(cublasLtCreate(&handle));
        GOOD(cublasLtMatmulDescCreate(&operation, compute, CUDA_R_32F));
        set(CUBLASLT_MATMUL_DESC_TRANSA, ta);
        set(CUBLASLT_MATMUL_DESC_TRANSB, tb);
        int a_rows = a_turned ? TERMS : ROWS, b_rows = b_turned ? COLS : TERMS;
        GOOD(cublasLtMatrixLayoutCreate(&a, type, (uint64_t)a_rows, a_turned ? ROWS : TERMS, a_rows + 1));
        GOOD(cublasLtMatrixLayoutCreate(&b, type, (uint64_t)b_rows, b_turned ? TERMS : COLS, b_rows));
        GOOD(cublasLtMatrixLayoutCreate(&d, result, ROWS, COLS, ROWS));
    }
    template <class T> cublasStatus_t set(cublasLtMatmulDescAttributes_t attribute, T value)
    {
        return cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value);
    }
    cublasStatus_t run(const void *pa, const void *pb, float beta, const void *pc, void *pd, float alpha = 1)
    {
        return cublasLtMatmul(handle, operation, &alpha, pa, a, pb, b, &beta, pc, d, pd, d, nullptr, nullptr,
                              0, nullptr);
    }
    cublasStatus_t ask(cublasLtMatmulPreference_t preference, cublasLtMatmulHeuristicResult_t *results,
                       int *n)
    {
        return cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, d, d, preference, 8, results, n);
    }
    ~product()
    {
        cublasLtMatmulDescDestroy(operation);
        for (cublasLtMatrixLayout_t layout : {a, b, d})
            cublasLtMatrixLayoutDestroy(layout);
        cublasLtDestroy(handle);
    }
};

/* alpha op(a) op(b) + beta c, column-major; the leading dimension of a is one more than its rows. */
static std::vector<double> product_of(const std::vector<float> &a, bool ta, const std::vector<float> &b,
                                      bool tb, double alpha, double beta, const std::vector<float> &c)
{
    std::vector<double> d(ROWS * COLS);
    const int lda = (ta ? TERMS : ROWS) + 1, ldb = tb ? COLS : TERMS;
    for (int j = 0; j < COLS; j++)
        for (int i = 0; i < ROWS; i++) {
            double sum = 0;
            for (int k = 0; k < TERMS; k++)
                sum += (double)a[(size_t)(ta ? i * lda + k : k * lda + i)] *
                       b[(size_t)(tb ? k * ldb + j : j * ldb + k)];
            d[(size_t)(j * ROWS + i)] = alpha * sum + beta * c[(size_t)(j * ROWS + i)];
        }
    return d;
}

static void products_are_column_major(void **)
{
    const size_t n = (TERMS + 1) * (TERMS + 1);
    std::vector<float> a = numbers(n, 1), b = numbers(n, 2), c = numbers(ROWS * COLS, 3);
    float *pa = on_device(a), *pb = on_device(b), *pc = on_device(c), *pd = on_device<float>(ROWS * COLS);
    for (cublasOperation_t ta : {CUBLAS_OP_N, CUBLAS_OP_T})
        for (cublasOperation_t tb : {CUBLAS_OP_N, CUBLAS_OP_T}) {
            product p(ta, tb);
            GOOD(p.run(pa, pb, 0.5f, pc, pd, 2));
            assert_close(from_device(pd, ROWS * COLS), product_of(a, ta, b, tb, 2, 0.5, c), 1e-7);
            GOOD(cudaMemset(pd, 0xff, ROWS * COLS * 4));
            GOOD(p.run(pa, pb, 0, pd, pd)); /* beta 0: NaN is not read */
            assert_close(from_device(pd, ROWS * COLS), product_of(a, ta, b, tb, 1, 0, c), 1e-7);
        }
    for (float *x : {pa, pb, pc, pd})
        cudaFree(x);
}

static void epilogues_add_a_bias_per_row_and_activate(void **)
{
    const size_t n = (TERMS + 1) * (TERMS + 1);
    std::vector<float> a = numbers(n, 1), b = numbers(n, 2), bias = numbers(ROWS, 4), none(ROWS * COLS);
    float *pa = on_device(a), *pb = on_device(b), *pbias = on_device(bias),
          *pd = on_device<float>(ROWS * COLS);
    product p(CUBLAS_OP_N, CUBLAS_OP_N);
    GOOD(p.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void *>(pbias)));
    for (cublasLtEpilogue_t epilogue :
         {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU,
          CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_GELU_BIAS}) {
        GOOD(p.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
        GOOD(p.run(pa, pb, 0, pd, pd));
        std::vector<double> want = product_of(a, false, b, false, 1, 0, none);
        for (size_t i = 0; i < want.size(); i++) {
            double x = want[i] + (epilogue & CUBLASLT_EPILOGUE_BIAS ? bias[i % ROWS] : 0);
            want[i] = epilogue & CUBLASLT_EPILOGUE_RELU ? fmax(x, 0)
                      : epilogue & CUBLASLT_EPILOGUE_GELU
                          ? x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))
                          : x;
        }
        assert_close(from_device(pd, ROWS * COLS), want, 1e-7);
    }
    for (float *x : {pa, pb, pbias, pd})
        cudaFree(x);
}

static void tf32_rounds_operands_to_ten_bits(void **)
{
    std::vector<float> a(200, 1 + 1.0f / 4096), b(200, 1);
    float *pa = on_device(a), *pb = on_device(b), *pd = on_device<float>(ROWS * COLS);
    product exact(CUBLAS_OP_N, CUBLAS_OP_N), fast(CUBLAS_OP_N, CUBLAS_OP_N, CUBLAS_COMPUTE_32F_FAST_TF32);
    GOOD(exact.run(pa, pb, 0, pd, pd));
    assert_true(from_device(pd, 1)[0] == TERMS * (1 + 1.0f / 4096));
    GOOD(fast.run(pa, pb, 0, pd, pd));
    assert_true(from_device(pd, 1)[0] == TERMS);
    for (float *x : {pa, pb, pd})
        cudaFree(x);
}

static void what_the_library_lacks_is_refused(void **)
{
    int n;
    cublasLtMatmulHeuristicResult_t results[8];
    {
        product p(CUBLAS_OP_N, CUBLAS_OP_N, CUBLAS_COMPUTE_32F, CUDA_R_16F, CUDA_R_16BF);
        assert_int_equal(p.ask(nullptr, results, &n), CUBLAS_STATUS_NOT_SUPPORTED);
    }
    {
        product p(CUBLAS_OP_N, CUBLAS_OP_N, CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_16F, CUDA_R_16F);
        assert_int_equal(p.ask(nullptr, results, &n), CUBLAS_STATUS_NOT_SUPPORTED);
    }
    {
        product p(CUBLAS_OP_N, CUBLAS_OP_N, CUBLAS_COMPUTE_32F, CUDA_R_16F, CUDA_R_16F);
        p.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
        p.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F); /* not the result's */
        assert_int_equal(p.ask(nullptr, results, &n), CUBLAS_STATUS_NOT_SUPPORTED);
    }
    product p(CUBLAS_OP_N, CUBLAS_OP_N);
    int64_t ld = ROWS - 1;
    GOOD(cublasLtMatrixLayoutSetAttribute(p.d, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld));
    assert_int_equal(p.ask(nullptr, results, &n), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(p.set(CUBLASLT_MATMUL_DESC_TRANSA, (int64_t)0), CUBLAS_STATUS_INVALID_VALUE); /* size */
}

static void algorithms_are_for_an_alignment_and_a_workspace(void **)
{
    int n;
    cublasLtMatmulHeuristicResult_t results[8];
    cublasLtMatmulPreferenceOpaque_t preference;
    const uint64_t room = 1 << 20;
    const uint32_t four = 4;
    const float one = 1, zero = 0;
    std::vector<float> ones(200, 1);
    float *x = on_device(ones), *d = on_device<float>(ROWS * COLS);
    unsigned char *workspace = on_device<unsigned char>(room);
    product p(CUBLAS_OP_N, CUBLAS_OP_N);
    GOOD(p.ask(nullptr, results, &n));
    assert_int_equal(n, 1); /* the one without workspace */
    auto run = [&](const float *a, const cublasLtMatmulAlgo_t *algo, size_t bytes) {
        return cublasLtMatmul(p.handle, p.operation, &one, a, p.a, x, p.b, &zero, d, p.d, d, p.d, algo,
                              workspace, bytes, nullptr);
    };
    GOOD(run(x, &results[0].algo, 0));
    assert_int_equal(run(x + 1, &results[0].algo, 0), CUBLAS_STATUS_NOT_SUPPORTED);
    GOOD(cublasLtMatmulPreferenceInit(&preference));
    GOOD(cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room,
                                              8));
    GOOD(cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &four,
                                              4));
    GOOD(p.ask(&preference, results, &n));
    assert_int_equal(n, 2);
    assert_true(results[1].workspaceSize > 0 && results[1].workspaceSize <= room);
    GOOD(run(x + 1, &results[1].algo, room));
    assert_true(from_device(d, 1)[0] == TERMS);
    assert_int_equal(run(x, &results[1].algo, results[1].workspaceSize - 1), CUBLAS_STATUS_INVALID_VALUE);
    cudaFree(x);
    cudaFree(d);
    cudaFree(workspace);
}

static void a_product_beyond_its_memory_breaks_the_device(void **)
{
    float *x = on_device<float>(TERMS * COLS), *d = on_device<float>(ROWS * COLS);
    product p(CUBLAS_OP_N, CUBLAS_OP_N);
    GOOD(p.run(x, x, 0, d, d));
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    assert_int_equal(p.run(x, x, 0, d, d), CUBLAS_STATUS_EXECUTION_FAILED);
    hl_fault_sticky(0);
    cudaFree(x);
    cudaFree(d);
}

/* ------------------------------------------------------------------ convolutions */

/* x [2,3,6,5], w [4,3,3,2], stride 2 and 1, padding 1 and 0 -> y [2,4,3,4] */
static const int X[4] = {2, 3, 6, 5}, W[4] = {4, 3, 3, 2}, Y[4] = {2, 4, 3, 4};

struct window {
    cudnnHandle_t handle;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    window()
    {
        GOOD(cudnnCreate(&handle));
        GOOD(cudnnSetStream(handle, nullptr));
        GOOD(cudnnCreateTensorDescriptor(&x));
        GOOD(cudnnCreateTensorDescriptor(&y));
        GOOD(cudnnCreateFilterDescriptor(&w));
        GOOD(cudnnCreateConvolutionDescriptor(&conv));
        GOOD(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, X[0], X[1], X[2], X[3]));
        GOOD(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, Y[0], Y[1], Y[2], Y[3]));
        GOOD(cudnnSetFilter4dDescriptor(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, W[0], W[1], W[2], W[3]));
        GOOD(cudnnSetConvolution2dDescriptor(conv, 1, 0, 2, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                             CUDNN_DATA_FLOAT));
        GOOD(cudnnSetConvolutionMathType(conv, CUDNN_FMA_MATH));
    }
    ~window()
    {
        cudnnDestroyTensorDescriptor(x);
        cudnnDestroyTensorDescriptor(y);
        cudnnDestroyFilterDescriptor(w);
        cudnnDestroyConvolutionDescriptor(conv);
        cudnnDestroy(handle);
    }
};

static size_t size_of(const int *dim)
{
    return (size_t)(dim[0] * dim[1] * dim[2] * dim[3]);
}

/* Calls f with where x, w and y have what is multiplied. */
template <class F> static void for_each_term(F f)
{
    for (int n = 0; n < Y[0]; n++)
        for (int k = 0; k < Y[1]; k++)
            for (int i = 0; i < Y[2]; i++)
                for (int j = 0; j < Y[3]; j++)
                    for (int c = 0; c < X[1]; c++)
                        for (int p = 0; p < W[2]; p++)
                            for (int q = 0; q < W[3]; q++) {
                                int h = 2 * i + p - 1, v = j + q;
                                if (h >= 0 && h < X[2] && v < X[3])
                                    f(((n * X[1] + c) * X[2] + h) * X[3] + v,
                                      ((k * W[1] + c) * W[2] + p) * W[3] + q,
                                      ((n * Y[1] + k) * Y[2] + i) * Y[3] + j);
                            }
}

static void convolutions_and_their_gradients(void **)
{
    window o;
    const float one = 1, zero = 0, half = 0.5f;
    std::vector<float> x = numbers(size_of(X), 1), w = numbers(size_of(W), 2), y = numbers(size_of(Y), 3);
    std::vector<double> forward(y.size()), data(x.size()), filter(w.size());
    for_each_term([&](int a, int b, int c) {
        size_t i = (size_t)a, j = (size_t)b, k = (size_t)c;
        forward[k] += (double)x[i] * w[j];
        data[i] += (double)y[k] * w[j];
        filter[j] += (double)x[i] * y[k];
    });
    float *px = on_device(x), *pw = on_device(w), *py = on_device(y), *to = on_device<float>(x.size());
    void *space = on_device<unsigned char>(8192);
    GOOD(cudnnConvolutionForward(o.handle, &one, o.x, px, o.w, pw, o.conv,
                                 CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, space, 8192, &zero, o.y,
                                 to));
    assert_close(from_device(to, y.size()), forward, 1e-7);
    GOOD(cudnnConvolutionBackwardData(o.handle, &one, o.w, pw, o.y, py, o.conv,
                                      CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, space, 8192, &zero, o.x, to));
    assert_close(from_device(to, x.size()), data, 1e-7);
    GOOD(cudnnConvolutionBackwardFilter(o.handle, &one, o.x, px, o.y, py, o.conv,
                                        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, space, 8192, &zero, o.w, to));
    assert_close(from_device(to, w.size()), filter, 1e-7);
    for (size_t i = 0; i < w.size(); i++)
        filter[i] += 0.5 * w[i];
    GOOD(cudnnConvolutionBackwardFilter(o.handle, &one, o.x, px, o.y, py, o.conv,
                                        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, space, 8192, &half, o.w, pw));
    assert_close(from_device(pw, w.size()), filter, 1e-7);
    for (void *p : {static_cast<void *>(px), static_cast<void *>(pw), static_cast<void *>(py),
                    static_cast<void *>(to), space})
        cudaFree(p);
}

static void convolutions_are_checked(void **)
{
    window o;
    const float one = 1, zero = 0;
    float *p = on_device<float>(size_of(X));
    auto run = [&](cudnnConvolutionFwdAlgo_t algorithm, void *space, size_t bytes, const void *w) {
        return cudnnConvolutionForward(o.handle, &one, o.x, p, o.w, w, o.conv, algorithm, space, bytes, &zero,
                                       o.y, p);
    };
    assert_int_equal(run(CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, p, 16, p),
                     CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT);
    assert_int_equal(run(CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, p, 16, p), CUDNN_STATUS_NOT_SUPPORTED);
    assert_int_equal(run(CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, p, 16, nullptr),
                     CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    GOOD(cudnnSetTensor4dDescriptor(o.y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, Y[0], Y[1], Y[2], Y[3] + 1));
    assert_int_equal(run(CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, p),
                     CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    assert_int_equal(cudnnSetTensor4dDescriptor(o.y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 0, 1, 1),
                     CUDNN_STATUS_BAD_PARAM);
    hl_fault_inject("cudnnConvolutionForward", 1, CUDNN_STATUS_EXECUTION_FAILED);
    assert_int_equal(run(CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr, 0, p),
                     CUDNN_STATUS_EXECUTION_FAILED);
    cudaFree(p);
}

const std::vector<CMUnitTest> library_tests = {
    cmocka_unit_test(products_are_column_major),
    cmocka_unit_test(epilogues_add_a_bias_per_row_and_activate),
    cmocka_unit_test(tf32_rounds_operands_to_ten_bits),
    cmocka_unit_test(what_the_library_lacks_is_refused),
    cmocka_unit_test(algorithms_are_for_an_alignment_and_a_workspace),
    cmocka_unit_test(a_product_beyond_its_memory_breaks_the_device),
    cmocka_unit_test(convolutions_and_their_gradients),
    cmocka_unit_test(convolutions_are_checked),
};
