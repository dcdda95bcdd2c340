#include "base/protobuf.h"

#include "base/half.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

void hl_protobuf_fixed(hl_text *message, uint64_t value, int n)
{
    char little[8];
    for (int i = 0; i < n; i++)
        little[i] = (char)(unsigned char)(value >> 8 * i);
    hl_text_append_bytes(message, little, (size_t)n);
}

static void put_varint(hl_text *m, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        hl_protobuf_fixed(m, (value & 127) | 128, 1);
    hl_protobuf_fixed(m, value, 1);
}

static uint64_t key(int field, int wire)
{
    return (uint64_t)field << 3 | (uint64_t)wire;
}

void hl_protobuf_int(hl_text *message, int field, int64_t value)
{
    put_varint(message, key(field, VARINT));
    put_varint(message, (uint64_t)value); /* two's complement: a negative number takes ten bytes */
}

void hl_protobuf_float(hl_text *message, int field, float value)
{
    put_varint(message, key(field, FIXED32));
    hl_protobuf_fixed(message, hl_float_bits(value), 4);
}

void hl_protobuf_double(hl_text *message, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_varint(message, key(field, FIXED64));
    hl_protobuf_fixed(message, bits, 8);
}

void hl_protobuf_begin(hl_text *message, int field, uint64_t n)
{
    put_varint(message, key(field, DELIMITED));
    put_varint(message, n);
}

void hl_protobuf_bytes(hl_text *message, int field, const void *bytes, size_t n)
{
    hl_protobuf_begin(message, field, n);
    hl_text_append_bytes(message, bytes, n);
}

void hl_protobuf_string(hl_text *message, int field, const char *string)
{
    hl_protobuf_bytes(message, field, string, strlen(string));
}

void hl_protobuf_message(hl_text *message, int field, const hl_text *inner)
{
    message->failed |= inner->failed;
    hl_protobuf_bytes(message, field, inner->at, inner->size);
}

static uint64_t varint_size(uint64_t value)
{
    uint64_t n = 1;
    for (; value >= 128; value >>= 7)
        n++;
    return n;
}

uint64_t hl_protobuf_size(int field, uint64_t n)
{
    return varint_size(key(field, DELIMITED)) + varint_size(n) + n;
}
