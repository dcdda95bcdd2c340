#include "app/report/units.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* From the largest to the smallest; the last takes what is below all. */
static const hl_unit_scale times[] = {{1e-3, "s"}, {1, "ms"}, {1e3, "\u00B5s"}, {1e6, "ns"}};
static const hl_unit_scale sizes[] = {
    {0x1p-40, "TiB"}, {0x1p-30, "GiB"}, {0x1p-20, "MiB"}, {0x1p-10, "KiB"}, {1, "B"}};

static hl_unit_scale scale_among(const hl_unit_scale *scales, size_t n, double most)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (fabs(most) * scales[i].factor >= 0.9995) /* what is written as 1.00 */
            return scales[i];
    return scales[n - 1];
}

hl_unit_scale hl_unit_scale_of(double most, hl_unit unit)
{
    switch (unit) {
    case HL_UNIT_MS:
        return most == 0 ? times[1] : scale_among(times, sizeof times / sizeof *times, most);
    case HL_UNIT_BYTES:
        return scale_among(sizes, sizeof sizes / sizeof *sizes, most);
    default:
        return (hl_unit_scale){1, ""};
    }
}

static void append(hl_digits *to, const char *format, ...) HL_PRINTF(2, 3);

static void append(hl_digits *to, const char *format, ...)
{
    size_t n = strlen(to->text);
    va_list args;
    va_start(args, format);
    vsnprintf(to->text + n, sizeof to->text - n, format, args);
    va_end(args);
}

/* Three digits or more: all of those before the point. Very large and very small with a power of ten. */
static void append_rounded(hl_digits *to, double v)
{
    double size = fabs(v);
    int power = size > 0 ? (int)floor(log10(size) + 1e-9) : 0;
    if (!isfinite(v))
        append(to, "%s\u221E", v < 0 ? "-" : "");
    else if (size == 0)
        append(to, "0");
    else if (power >= 7 || power < -4)
        append(to, "%.2e", v);
    else if (size >= 0.9995 * pow(10, power + 1)) /* 9.996 is written as 10.0 */
        append(to, "%.*f", power < 1 ? 1 - power : 0, v);
    else
        append(to, "%.*f", power < 2 ? 2 - power : 0, v);
}

/* Doubles hold whole numbers up to here exactly, and so many digits can be read. */
#define MOST_GROUPED 1e15

/* A whole number in groups of three digits, between them a narrow space where no line breaks. */
static void append_grouped(hl_digits *to, double v)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%.0f", fabs(v));
    size_t n = strlen(digits);
    append(to, v < 0 ? "-" : "");
    for (size_t i = 0; i < n; i++)
        append(to, "%s%c", i && (n - i) % 3 == 0 ? "\u202F" : "", digits[i]);
}

static hl_quantity in_bytes(double v, const char *per)
{
    hl_quantity q = {0};
    hl_unit_scale s = hl_unit_scale_of(v, HL_UNIT_BYTES);
    bool exact = fabs(v) <= MOST_GROUPED;
    if (s.factor == 1 && v == floor(v))
        append_grouped(&q.shown, v);
    else
        append_rounded(&q.shown, v * s.factor);
    append(&q.shown, "\u00A0%s%s", s.unit, per);
    if (exact && s.factor != 1) {
        append_grouped(&q.exact, round(v));
        append(&q.exact, " bytes%s", per);
    }
    return q;
}

static hl_quantity in_units(double v, const char *space, const char *unit)
{
    hl_quantity q = {0};
    append_rounded(&q.shown, v);
    append(&q.exact, "%.9g", v);
    if (!isfinite(v) || !strcmp(q.exact.text, q.shown.text))
        q.exact.text[0] = 0;
    else
        append(&q.exact, "%s%s", space, unit);
    append(&q.shown, "%s%s", space, unit);
    return q;
}

hl_quantity hl_quantity_of(double v, hl_unit unit)
{
    hl_quantity q = {0};
    hl_unit_scale s = hl_unit_scale_of(v, unit);
    if (isnan(v)) {
        append(&q.shown, "not measured");
        return q;
    }
    switch (unit) {
    case HL_UNIT_COUNT:
        if (fabs(v) > MOST_GROUPED || v != floor(v))
            return in_units(v, "", "");
        append_grouped(&q.shown, v);
        return q;
    case HL_UNIT_NONE:
        return in_units(v, "", "");
    case HL_UNIT_BYTES:
        return in_bytes(v, "");
    case HL_UNIT_BYTES_PER_MINUTE:
        return in_bytes(v, "/min");
    case HL_UNIT_MS:
        return in_units(v * s.factor, "\u00A0", s.unit);
    case HL_UNIT_SECONDS:
        return in_units(v, "\u00A0", "s");
    case HL_UNIT_PER_SECOND:
        return in_units(v, "", "/s");
    case HL_UNIT_HZ:
        return in_units(v, "\u00A0", "Hz");
    case HL_UNIT_MHZ:
        return in_units(v, "\u00A0", "MHz");
    case HL_UNIT_PERCENT:
        return in_units(v, "", "%");
    case HL_UNIT_FRACTION:
        return in_units(v * 100, "", "%");
    case HL_UNIT_CELSIUS:
        return in_units(v, "\u00A0", "\u00B0C");
    case HL_UNIT_WATT:
        return in_units(v, "\u00A0", "W");
    }
    return q;
}
