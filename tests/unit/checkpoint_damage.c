/* Checkpoints that are not well: flipped bits, cut files, forged headers, and what is none at all. */
#include "base/crc32c.h"

#include "tests/checkpoint_store.h"

#include <hdf5.h>
#include <sys/syscall.h>

/* Reads a damaged file in every way. It must be refused, by a sentence that names the file. */
static void assert_refused(const char *path, hl_error *err)
{
    hl_params *b = declared(9);
    hl_status status = hl_checkpoint_read(path, b, HL_CHECKPOINT_ALL, err);
    if (status != HL_ERR_DATA && status != HL_ERR_UNSUPPORTED)
        fail_msg("a damaged file gives status %d: %s", status, err->message);
    assert_non_null(strstr(err->message, path));
    assert_int_equal(hl_checkpoint_verify(path, NULL), status);
    hl_params_free(b);
}

/* All bits of the header that is used, and one bit of every few bytes of the rest. */
static void test_one_flipped_bit_anywhere(void **state)
{
    (void)state;
    size_t size;
    const char *path = temporary_path("flip.h5");
    hl_params *a = filled(5);
    write_small(path, a);
    unsigned char *bytes = slurp(path, &size);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    setbuf(f, NULL);
    size_t flips = 0;
    for (size_t bit = 0; bit < 8 * size;
         bit += bit < 8 * 256 ? 1 : 8 * (1 + next_random() % 40) + next_random() % 8) {
        hl_error err = {0};
        unsigned char flipped = bytes[bit / 8] ^ (unsigned char)(1u << bit % 8);
        assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
        assert_int_equal(fputc(flipped, f), flipped);
        assert_refused(path, &err);
        assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
        assert_int_equal(fputc(bytes[bit / 8], f), bytes[bit / 8]);
        flips++;
    }
    fclose(f);
    assert_true(flips > 4000);
    hl_error err = {0};
    assert_int_equal(hl_checkpoint_verify(path, &err), HL_OK); /* all undone */
    free(bytes);
    hl_params_free(a);
}

static void test_a_flipped_bit_in_a_tensor_names_it(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_checkpoint *c;
    size_t size;
    const char *path = temporary_path("tensor.h5");
    hl_params *a = filled(5);
    write_small(path, a);
    assert_int_equal(hl_checkpoint_open(path, &c, &err), HL_OK);
    unsigned char *bytes = slurp(path, &size);
    for (int i = 0; i < hl_checkpoint_count(c); i++) {
        const hl_checkpoint_tensor *t = hl_checkpoint_at(c, i);
        if (!t->count)
            continue;
        size_t at = t->offset + 4 * (size_t)t->count - 1;
        bytes[at] ^= 64;
        spill(path, bytes, size);
        assert_refused(path, &err);
        assert_says(&err, HL_ERR_DATA, t->name, "CRC32C");
        bytes[at] ^= 64;
    }
    hl_checkpoint_close(c);
    free(bytes);
    hl_params_free(a);
}

static void test_truncated_and_extended(void **state)
{
    (void)state;
    size_t size;
    const char *path = temporary_path("cut.h5");
    hl_params *a = filled(5);
    write_small(path, a);
    unsigned char *bytes = slurp(path, &size);
    for (size_t n = 0; n < size; n += 1 + next_random() % 500) {
        hl_error err = {0};
        spill(path, bytes, n);
        assert_refused(path, &err);
    }
    hl_error err = {0};
    spill(path, bytes, size - 1);
    assert_refused(path, &err);
    assert_says(&err, HL_ERR_DATA, "truncated", path);
    bytes[size] = 0;
    spill(path, bytes, size + 1);
    assert_refused(path, &err);
    assert_says(&err, HL_ERR_DATA, "extended", path);
    free(bytes);
    hl_params_free(a);
}

static void test_what_is_no_checkpoint(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_checkpoint *c;
    char text[10000];
    memset(text, 'x', sizeof text);
    assert_int_equal(hl_checkpoint_open(temporary_dir, &c, &err), HL_ERR_IO);
    assert_null(c);
    assert_says(&err, HL_ERR_IO, temporary_dir, "not a directory");
    assert_int_equal(hl_checkpoint_open(temporary_path("absent.h5"), &c, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "absent.h5", "No such file");
    spill(temporary_path("text"), text, 20);
    assert_int_equal(hl_checkpoint_open(temporary_path("text"), &c, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, "text", "no checkpoint of hl");
    spill(temporary_path("text"), text, sizeof text);
    assert_int_equal(hl_checkpoint_open(temporary_path("text"), &c, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, "text", "no checkpoint of hl");
    hid_t file = H5Fcreate(temporary_path("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, (hsize_t[]){5000}, NULL);
    hid_t set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0 && H5Dwrite(set, H5T_NATIVE_CHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
    assert_int_equal(hl_checkpoint_open(temporary_path("other.h5"), &c, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, "other.h5", "an HDF5 file but no checkpoint");
}

static void put_little(unsigned char *p, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

/* Headers that someone wrote with a checksum that holds. */
static void test_forged_headers(void **state)
{
    (void)state;
    static const struct {
        int at, bytes;
        uint64_t value;
        hl_status status;
        const char *says;
    } cases[] = {
        {8, 4, 2, HL_ERR_UNSUPPORTED, "has format 2, this hl reads up to 1; use a newer hl"},
        {24, 8, 1, HL_ERR_DATA, "truncated or extended"},
        {24, 8, UINT64_MAX, HL_ERR_DATA, "truncated or extended"},
        {32, 8, 0, HL_ERR_DATA, "damaged"},
        {32, 8, 6, HL_ERR_DATA, "damaged"},
        {32, 8, 8, HL_ERR_DATA, "its table of tensors"},
        {32, 8, UINT64_MAX, HL_ERR_DATA, "the number of its tensors"},
        {32, 8, UINT64_MAX / 24, HL_ERR_DATA, "the number of its tensors"},
        {40, 4, 0, HL_ERR_DATA, "the checksum of its structure"},
        {48, 8, 0, HL_ERR_DATA, "its table of tensors"},
        {48, 8, UINT64_MAX, HL_ERR_DATA, "its table of tensors"},
        {56, 8, 0, HL_ERR_DATA, "its table of tensors"},
        {56, 8, UINT64_MAX, HL_ERR_DATA, "its table of tensors"},
        {56, 8, 4, HL_ERR_DATA, "damaged"},
        {64, 4, 0, HL_ERR_DATA, "not where its header says"},
        {72, 8, 4096, HL_ERR_DATA, "its table of tensors"},
    };
    static const unsigned char zero[4];
    size_t size;
    const char *path = temporary_path("forged.h5");
    hl_params *a = filled(5);
    write_small(path, a);
    unsigned char *bytes = slurp(path, &size), kept[4096];
    memcpy(kept, bytes, sizeof kept);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hl_error err = {0};
        memcpy(bytes, kept, sizeof kept);
        put_little(bytes + cases[i].at, cases[i].value, cases[i].bytes);
        put_little(bytes + 12, hl_crc32c(hl_crc32c(hl_crc32c(0, bytes, 12), zero, 4), bytes + 16, 4096 - 16),
                   4);
        spill(path, bytes, size);
        assert_refused(path, &err);
        assert_says(&err, cases[i].status, path, cases[i].says);
    }
    for (int shift = 0; shift < 64; shift++) { /* sizes of the header itself, checksum or not */
        hl_error err = {0};
        memcpy(bytes, kept, sizeof kept);
        put_little(bytes + 16, (uint64_t)1 << shift, 8);
        if (shift == 12)
            continue;
        spill(path, bytes, size);
        assert_refused(path, &err);
    }
    free(bytes);
    hl_params_free(a);
}

/* ------------------------------------------------------------------ a disk that lies */

static int lie_at; /* counts down to the call of write() that stores something else than it was given */

/* In place of the C library's, for this program. */
ssize_t write(int fd, const void *bytes, size_t n)
{
    static unsigned char copy[1 << 20];
    if (lie_at && !--lie_at && n && n <= sizeof copy) {
        memcpy(copy, bytes, n);
        copy[n / 2] ^= 4;
        bytes = copy;
    }
    return syscall(SYS_write, fd, bytes, n);
}

static void test_what_does_not_read_back_is_not_kept(void **state)
{
    (void)state;
    const char *path = temporary_path("lie.h5");
    hl_params *a = filled(5), *b = filled(6);
    hl_checkpoint_meta meta = small_meta(1);
    size_t size, n;
    write_small(path, a);
    unsigned char *before = slurp(path, &size);
    int lies = 0;
    for (int call = 1;; call++) {
        hl_error err = {0};
        lie_at = call;
        hl_status status = hl_checkpoint_write(path, b, &meta, HL_CHECKPOINT_ALL, &err);
        assert_int_not_equal(access(temporary_path("lie.h5.tmp"), F_OK), 0);
        if (lie_at) { /* more than it writes */
            assert_int_equal(status, HL_OK);
            break;
        }
        lies++;
        assert_int_equal(status, HL_ERR_DATA);
        assert_says(&err, HL_ERR_DATA, path, "what was written does not read back");
        unsigned char *now = slurp(path, &n);
        assert_true(n == size && !memcmp(now, before, size));
        free(now);
    }
    lie_at = 0;
    assert_true(lies >= 10); /* header, seven tensors, and the structure around them */
    free(before);
    hl_params_free(a);
    hl_params_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_flipped_bit_anywhere),
        cmocka_unit_test(test_a_flipped_bit_in_a_tensor_names_it),
        cmocka_unit_test(test_truncated_and_extended),
        cmocka_unit_test(test_what_is_no_checkpoint),
        cmocka_unit_test(test_forged_headers),
        cmocka_unit_test(test_what_does_not_read_back_is_not_kept),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
