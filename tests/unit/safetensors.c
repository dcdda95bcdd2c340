/* Reading safetensors: what the format says, what it forbids, and where data may lie. */
#include "base/memory.h"
#include "base/shape.h"
#include "io/safetensors.h"

#include "tests/checkpoint_store.h"

/* ------------------------------------------------------------------ files as bytes */

typedef struct image {
    unsigned char *at;
    size_t size;
} image;

/* A length, the JSON, and that many bytes of data: 0, 1, 2, ... */
static image file_of(const char *json, size_t json_size, size_t data)
{
    image f = {malloc(8 + json_size + data + 1), 8 + json_size + data};
    assert_non_null(f.at);
    for (int i = 0; i < 8; i++)
        f.at[i] = (unsigned char)((uint64_t)json_size >> 8 * i);
    memcpy(f.at + 8, json, json_size);
    for (size_t i = 0; i < data; i++)
        f.at[8 + json_size + i] = (unsigned char)i;
    return f;
}

static void assert_refuses_bytes(const void *bytes, size_t n, hl_status status, const char *says)
{
    hl_error err = {0};
    char *exact = malloc(n ? n : 1); /* a byte too far is seen by a sanitizer */
    assert_non_null(exact);
    memcpy(exact, bytes, n);
    hl_safetensors *f = hl_safetensors_parse(exact, n, "m.safetensors", &err);
    if (f)
        fail_msg("takes what should be refused with: %s", says);
    if (err.status != status || strncmp(err.message, "m.safetensors: ", 15) != 0 ||
        !strstr(err.message, says))
        fail_msg("status %d '%s' instead of status %d '%s'", err.status, err.message, status, says);
    assert_null(hl_safetensors_parse(exact, n, "m.safetensors", NULL));
    free(exact);
}

static void assert_refuses(const char *json, size_t data, hl_status status, const char *says)
{
    image f = file_of(json, strlen(json), data);
    assert_refuses_bytes(f.at, f.size, status, says);
    free(f.at);
}

static void assert_takes(const char *json, size_t data, int tensors)
{
    hl_error err = {0};
    image i = file_of(json, strlen(json), data);
    hl_safetensors *f = hl_safetensors_parse(i.at, i.size, "m.safetensors", &err);
    if (!f)
        fail_msg("refuses %s: %s", json, err.message);
    assert_int_equal(hl_safetensors_count(f), tensors);
    hl_safetensors_close(f);
    free(i.at);
}

/* ------------------------------------------------------------------ reading */

/* By hand, from the format's description: a matrix, a bfloat16 scalar, nothing, and a text. */
#define GOLDEN_JSON                                                                                          \
    "{\"__metadata__\":{\"format\":\"pt\"},"                                                                 \
    "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"                                     \
    "\"none\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[16,16]},"                                 \
    "\"s\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[16,18]}}   "

static const unsigned char golden_data[] = {
    0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0, /* 1, -2 */
    0x00, 0x00, 0x20, 0x41, 0x00, 0x00, 0x00, 0x80, /* 10, -0 */
    0xc0, 0x3f,                                     /* 1.5 */
};

static image golden(void)
{
    image f = file_of(GOLDEN_JSON, strlen(GOLDEN_JSON), sizeof golden_data);
    memcpy(f.at + f.size - sizeof golden_data, golden_data, sizeof golden_data);
    return f;
}

static void assert_golden(const hl_safetensors *f)
{
    float values[4];
    assert_non_null(f);
    assert_int_equal(hl_safetensors_count(f), 3);
    hl_safetensor none = hl_safetensors_at(f, 0), s = hl_safetensors_at(f, 1), w = hl_safetensors_at(f, 2);
    assert_string_equal(none.name, "none");
    assert_string_equal(none.type, "I64");
    assert_false(none.known);
    assert_string_equal(hl_shape_print(none.shape).text, "[3,0]");
    assert_true(none.count == 0 && none.bytes == 0);
    assert_string_equal(s.name, "s");
    assert_true(s.known && s.dtype == HL_BF16 && s.count == 1 && s.bytes == 2 && s.shape.rank == 0);
    hl_safetensor_widen(&s, values);
    assert_true(values[0] == 1.5f);
    assert_string_equal(w.name, "w");
    assert_string_equal(w.type, "F32");
    assert_true(w.known && w.dtype == HL_F32 && w.count == 4 && w.bytes == 16);
    assert_string_equal(hl_shape_print(w.shape).text, "[2,2]");
    assert_memory_equal(w.data, golden_data, 16);
    hl_safetensor_widen(&w, values);
    assert_memory_equal(values, golden_data, 16);
    assert_int_equal(hl_safetensors_find(f, "w"), 2);
    assert_int_equal(hl_safetensors_find(f, "none"), 0);
    assert_int_equal(hl_safetensors_find(f, "v"), -1);
    assert_int_equal(hl_safetensors_find(f, "__metadata__"), -1);
    assert_int_equal(hl_safetensors_find(f, ""), -1);
    assert_string_equal(hl_safetensors_metadata(f, "format"), "pt");
    assert_null(hl_safetensors_metadata(f, "w"));
}

static void test_golden(void **state)
{
    (void)state;
    hl_error err = {0};
    image i = golden();
    const char *path = temporary_path("golden.safetensors");
    hl_safetensors *f = hl_safetensors_parse(i.at, i.size, "g", &err);
    assert_golden(f);
    hl_safetensors_close(f);
    spill(path, i.at, i.size);
    f = hl_safetensors_open(path, &err);
    assert_golden(f);
    assert_int_equal(unlink(path), 0); /* what is mapped stays */
    assert_golden(f);
    hl_safetensors_close(f);
    hl_safetensors_close(NULL);
    free(i.at);
}

static void test_legal_oddities(void **state)
{
    (void)state;
    assert_takes("{}", 0, 0);
    assert_takes("{}     \t\n", 0, 0);
    assert_takes("{\"__metadata__\":{}}", 0, 0);
    assert_takes("{\"\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3, 1);
    assert_takes("{\"a/b \\u00e9\":{\"shape\":[3],\"data_offsets\":[0,3],\"dtype\":\"BOOL\",\"note\":null}}",
                 3, 1);
    assert_takes("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, 1);
    /* Empty ones anywhere that others meet, in any order in the header. */
    assert_takes("{\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[1,3]},"
                 "\"x\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[1,1]},"
                 "\"y\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[1,1]},"
                 "\"z\":{\"dtype\":\"F64\",\"shape\":[9223372036854775807,0],\"data_offsets\":[3,3]},"
                 "\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                 3, 5);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
    } types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
                 {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                 {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char json[200];
        hl_error err = {0};
        assert_int_equal(hl_safetensor_type_size(types[i].name), types[i].size);
        snprintf(json, sizeof json, "{\"x\":{\"dtype\":\"%s\",\"shape\":[3,5],\"data_offsets\":[0,%zu]}}",
                 types[i].name, 15 * types[i].size);
        image file = file_of(json, strlen(json), 15 * types[i].size);
        hl_safetensors *f = hl_safetensors_parse(file.at, file.size, "t", &err);
        assert_non_null(f);
        hl_safetensor t = hl_safetensors_at(f, 0);
        assert_string_equal(t.type, types[i].name);
        assert_int_equal(t.bytes, 15 * types[i].size);
        bool ours = !strcmp(t.type, "F32") || !strcmp(t.type, "F16") || !strcmp(t.type, "BF16") ||
                    !strcmp(t.type, "I8");
        assert_int_equal(t.known, ours);
        if (ours)
            assert_string_equal(hl_safetensor_make("x", t.dtype, t.shape, NULL).type, t.type);
        hl_safetensors_close(f);
        free(file.at);
    }
    assert_int_equal(hl_safetensor_type_size("f32"), 0);
    assert_int_equal(hl_safetensor_type_size(""), 0);
}

/* ------------------------------------------------------------------ what is refused */

static void test_headers_that_cannot_be(void **state)
{
    (void)state;
    unsigned char bytes[64] = {0};
    for (size_t n = 0; n < 8; n++)
        assert_refuses_bytes("\x02\0\0\0\0\0\0\0{}", n, HL_ERR_DATA, "a safetensors file at least 8");
    assert_refuses_bytes(bytes, 8, HL_ERR_DATA, "does not begin with '{'");
    bytes[0] = 2;
    assert_refuses_bytes(bytes, 9, HL_ERR_DATA,
                         "its header ends at byte 10, the file at 9; is it truncated?");
    assert_refuses_bytes(bytes, 10, HL_ERR_DATA, "does not begin with '{'");
    memcpy(bytes, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_refuses_bytes(bytes, 64, HL_ERR_DATA,
                         "its header has 18446744073709551615 bytes, expected at most");
    memcpy(bytes, "\xf8\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_refuses_bytes(bytes, 64, HL_ERR_DATA, "expected at most 100000000");
    memcpy(bytes, "\x01\xe1\xf5\x05\0\0\0\0", 8);
    assert_refuses_bytes(bytes, 64, HL_ERR_DATA, "has 100000001 bytes, expected at most 100000000");
    memcpy(bytes, "\x00\xe1\xf5\x05\0\0\0\0", 8);
    assert_refuses_bytes(bytes, 64, HL_ERR_DATA, "its header ends at byte 100000008, the file at 64");
    assert_refuses(" {}", 0, HL_ERR_DATA, "does not begin with '{'");
    assert_refuses("[]", 0, HL_ERR_DATA, "does not begin with '{'");
    assert_refuses("{", 0, HL_ERR_DATA, "header:1:");
    assert_refuses("{}x", 0, HL_ERR_DATA, "header:1:");
    assert_refuses("{\"a\xff\":1}", 0, HL_ERR_DATA, "unable to decode byte 0xff");
    assert_refuses("{\"a\xc0\xaf\":1}", 0, HL_ERR_DATA, "header:1:");
    assert_refuses("{\"a\\u0000\":1}", 0, HL_ERR_DATA, "header:1:");
    assert_refuses("{\"a\":1,\"a\":2}", 0, HL_ERR_DATA, "duplicate");
    assert_refuses("{\"__metadata__\":{},\"__metadata__\":{}}", 0, HL_ERR_DATA, "duplicate");
    assert_refuses("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", 0, HL_ERR_DATA, "duplicate");
    assert_refuses("{\"a\":{\"dtype\":\"I8\",\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
                   HL_ERR_DATA, "duplicate");
    assert_refuses("{\"a\":1e999}", 0, HL_ERR_DATA, "header:1:");
    image zeros = file_of("{}\0\0", 4, 0); /* padded with what is no space */
    assert_refuses_bytes(zeros.at, zeros.size, HL_ERR_DATA, "header:1:");
    free(zeros.at);
    char *deep = malloc(100001);
    assert_non_null(deep);
    for (int i = 0; i < 100000; i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    deep[100000] = 0;
    assert_refuses(deep, 0, HL_ERR_DATA, "header:1:");
    free(deep);
}

static void test_metadata_that_cannot_be(void **state)
{
    (void)state;
    assert_refuses("{\"__metadata__\":[]}", 0, HL_ERR_DATA,
                   "__metadata__: found an array, expected an object");
    assert_refuses("{\"__metadata__\":null}", 0, HL_ERR_DATA, "__metadata__: found nothing");
    assert_refuses("{\"__metadata__\":{\"step\":3}}", 0, HL_ERR_DATA,
                   "__metadata__: 'step': found a number, expected a text");
    assert_refuses("{\"__metadata__\":{\"a\":\"\",\"b\":{}}}", 0, HL_ERR_DATA,
                   "__metadata__: 'b': found an object, expected a text");
}

#define TENSOR(rest)       "{\"net.w\":{" rest "}}"
#define OF(type, shape, e) TENSOR("\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" e)

static void test_entries_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"net.w\":3}", "found a number, expected an object"},
        {"{\"net.w\":null}", "found nothing, expected an object"},
        {TENSOR(""), "found nothing as 'dtype', expected a text"},
        {TENSOR("\"dtype\":4"), "found a number as 'dtype'"},
        {OF("F31", "[1]", "[0,4]"), "found dtype 'F31', expected BOOL, U8"},
        {OF("f32", "[1]", "[0,4]"), "found dtype 'f32'"},
        {OF("", "[1]", "[0,4]"), "found dtype ''"},
        {TENSOR("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), "found nothing as 'shape', expected an array"},
        {OF("F32", "3", "[0,4]"), "found a number as 'shape'"},
        {OF("F32", "[1.0]", "[0,4]"), "found a number with a fraction or exponent in 'shape'"},
        {OF("F32", "[1e0]", "[0,4]"), "found a number with a fraction or exponent in 'shape'"},
        {OF("F32", "[\"1\"]", "[0,4]"), "found a text in 'shape'"},
        {OF("F32", "[true]", "[0,4]"), "found true or false in 'shape'"},
        {OF("F32", "[[1]]", "[0,4]"), "found an array in 'shape'"},
        {OF("F32", "[-1]", "[0,4]"), "found -1 in 'shape', expected numbers of 0 or more"},
        {OF("F32", "[-1,-1]", "[0,4]"), "found -1 in 'shape'"},
        {OF("F32", "[2,9223372036854775807]", "[0,4]"), "the size of F32 [2,9223372036854775807] overflows"},
        {OF("F32", "[4294967296,4294967296]", "[0,0]"), "overflows"},
        {OF("F32", "[4611686018427387904]", "[0,0]"), "overflows"},
        {OF("I8", "[4294967296,4294967296,0]", "[0,0]"), "overflows"},
        {OF("I64", "[1152921504606846976]", "[0,0]"), "overflows"},
        {TENSOR("\"dtype\":\"F32\",\"shape\":[1]"), "found nothing as 'data_offsets'"},
        {OF("F32", "[1]", "4"), "found a number as 'data_offsets', expected an array of two numbers"},
        {OF("F32", "[1]", "[0]"), "found an array of another length as 'data_offsets'"},
        {OF("F32", "[1]", "[0,4,4]"), "found an array of another length as 'data_offsets'"},
        {OF("F32", "[1]", "[0,\"4\"]"), "found a text in 'data_offsets', expected whole numbers"},
        {OF("F32", "[1]", "[-4,0]"), "found -4 in 'data_offsets'"},
        {OF("F32", "[1]", "[0,-9223372036854775808]"), "found -9223372036854775808 in 'data_offsets'"},
        {OF("F32", "[1]", "[4,0]"), "found data_offsets [4,0], expected an end behind the begin"},
        {OF("F32", "[1]", "[0,8]"), "ends at byte 8 of the data, of which the file has 4; is it truncated?"},
        {OF("F32", "[1]", "[9223372036854775807,9223372036854775807]"), "ends at byte 9223372036854775807"},
        {OF("F32", "[1]", "[0,3]"), "found 3 bytes (data_offsets [0,3]), expected 4 for F32 [1]"},
        {OF("F32", "[]", "[0,0]"), "found 0 bytes (data_offsets [0,0]), expected 4 for F32 []"},
        {OF("F32", "[0]", "[0,4]"), "found 4 bytes (data_offsets [0,4]), expected 0 for F32 [0]"},
        {OF("F16", "[1]", "[0,4]"), "expected 2 for F16 [1]"},
        {OF("I8", "[3]", "[1,4]"), "begins at byte 1 of the data, expected 0: none lies before it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_refuses(cases[i].json, 4, HL_ERR_DATA, cases[i].says);
        assert_refuses(cases[i].json, 4, HL_ERR_DATA, "m.safetensors: tensor 'net.w': ");
    }
    assert_refuses(OF("F32", "[9223372036854775808]", "[0,4]"), 4, HL_ERR_DATA, "header:1:");
    assert_refuses(OF("F32", "[1,1,1,1,1,1,1]", "[0,4]"), 4, HL_ERR_UNSUPPORTED,
                   "tensor 'net.w': has 7 dimensions, this hl holds up to 6");
    assert_refuses("{\"\\u001b[31m\\n\":3}", 0, HL_ERR_DATA, "tensor '?[31m?': found a number");
}

#define BYTES(name, n, b, e)                                                                                 \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #b "," #e "]}"

static void test_places_that_cannot_be(void **state)
{
    (void)state;
    assert_refuses("{}", 1, HL_ERR_DATA, "its tensors end at byte 0 of the data, the file has 1");
    assert_refuses("{" BYTES("a", 3, 0, 3) "}", 4, HL_ERR_DATA, "end at byte 3 of the data, the file has 4");
    assert_refuses("{" BYTES("a", 2, 0, 2) "," BYTES("b", 2, 1, 3) "}", 3, HL_ERR_DATA,
                   "tensor 'b': begins at byte 1 of the data, expected 2, where 'a' ends");
    assert_refuses("{" BYTES("b", 2, 3, 5) "," BYTES("a", 2, 0, 2) "}", 5, HL_ERR_DATA,
                   "tensor 'b': begins at byte 3 of the data, expected 2, where 'a' ends");
    assert_refuses("{" BYTES("a", 2, 0, 2) "," BYTES("b", 2, 0, 2) "}", 2, HL_ERR_DATA, "expected 2, where ");
    assert_refuses("{" BYTES("a", 4, 0, 4) "," BYTES("e", 0, 2, 2) "}", 4, HL_ERR_DATA,
                   "tensor 'e': begins at byte 2 of the data, expected 4, where 'a' ends");
    assert_refuses("{" BYTES("e", 0, 1, 1) "}", 1, HL_ERR_DATA, "tensor 'e': begins at byte 1");
}

/* Any length but its own is refused; any byte of the header set to anything is refused or read, but never
 * beyond the file. */
static void test_damage(void **state)
{
    (void)state;
    image g = golden();
    for (size_t n = 0; n < g.size; n++)
        assert_refuses_bytes(g.at, n, HL_ERR_DATA, "");
    assert_refuses_bytes(g.at, g.size + 1, HL_ERR_DATA, "was it extended?");
    int refused = 0, taken = 0;
    for (size_t i = 0; i < g.size - sizeof golden_data; i++)
        for (int bit = 0; bit < 8; bit++) {
            hl_error err = {0};
            unsigned char *copy = malloc(g.size);
            assert_non_null(copy);
            memcpy(copy, g.at, g.size);
            copy[i] ^= (unsigned char)(1 << bit);
            hl_safetensors *f = hl_safetensors_parse(copy, g.size, "m.safetensors", &err);
            for (int t = 0; f && t < hl_safetensors_count(f); t++) {
                hl_safetensor x = hl_safetensors_at(f, t);
                assert_true((const unsigned char *)x.data + x.bytes <= copy + g.size);
            }
            refused += !f;
            taken += !!f;
            assert_true(f || (err.status != HL_OK && strstr(err.message, "m.safetensors: ")));
            hl_safetensors_close(f);
            free(copy);
        }
    assert_true(refused > 1000 && taken > 50); /* of names and texts most letters may be others */
    free(g.at);
}

static void test_paths(void **state)
{
    (void)state;
    hl_error err = {0};
    assert_null(hl_safetensors_open(temporary_path("none"), &err));
    assert_int_equal(err.status, HL_ERR_IO);
    assert_non_null(strstr(err.message, "No such file"));
    assert_null(hl_safetensors_open(temporary_dir, &err));
    assert_non_null(strstr(err.message, "name a file, not a directory"));
    spill(temporary_path("empty"), "", 0);
    assert_null(hl_safetensors_open(temporary_path("empty"), &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    assert_non_null(strstr(err.message, "has 0 bytes"));
    assert_null(hl_safetensors_open(temporary_path("none"), NULL));
}

/* ------------------------------------------------------------------ where data lies */

static void test_data_that_is_not_aligned(void **state)
{
    (void)state;
    static const char json[] = "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[1,5]},"
                               "\"f\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[5,9]},"
                               "\"i\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                               "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9,13]}}";
    static const unsigned char data[] = {7, 0xc0, 0x3f, 0x80, 0x7f, 0x00, 0x3c, 0x01, 0x80, 0, 0, 0x80, 0x3f};
    hl_error err = {0};
    image i = file_of(json, strlen(json), sizeof data);
    memcpy(i.at + i.size - sizeof data, data, sizeof data);
    bool seen[2] = {false, false};
    for (size_t shift = 0; shift < 8; shift++) {
        float two[2];
        unsigned char *moved = malloc(i.size + shift);
        assert_non_null(moved);
        memcpy(moved + shift, i.at, i.size);
        hl_safetensors *f = hl_safetensors_parse(moved + shift, i.size, "m", &err);
        assert_non_null(f);
        hl_safetensor b = hl_safetensors_at(f, 0), half = hl_safetensors_at(f, 1),
                      w = hl_safetensors_at(f, 3);
        hl_safetensor byte = hl_safetensors_at(f, 2);
        assert_int_equal(hl_safetensor_aligned(&w), (uintptr_t)w.data % 4 == 0);
        assert_int_equal(hl_safetensor_aligned(&b), (uintptr_t)b.data % 2 == 0);
        assert_true(hl_safetensor_aligned(&byte));
        seen[hl_safetensor_aligned(&w)] = true;
        hl_safetensor_widen(&w, two);
        assert_true(two[0] == 1);
        hl_safetensor_widen(&b, two);
        assert_true(two[0] == 1.5f && two[1] > 3e38f);
        hl_safetensor_widen(&half, two);
        assert_true(two[0] == 1 && two[1] == -5.9604644775390625e-8f);
        hl_safetensors_close(f);
        free(moved);
    }
    assert_true(seen[0] && seen[1]);
    free(i.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_legal_oddities),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_headers_that_cannot_be),
        cmocka_unit_test(test_metadata_that_cannot_be),
        cmocka_unit_test(test_entries_that_cannot_be),
        cmocka_unit_test(test_places_that_cannot_be),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_data_that_is_not_aligned),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
