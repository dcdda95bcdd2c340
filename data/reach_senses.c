#include "data/reach_senses.h"

#include <math.h>
#include <string.h>

enum { BINS = HL_REACH_AUDIO / 2, RINGS = HL_REACH_TACTILE / 4 };

#define BIN_HZ       15.625f /* width of a bin: 8 kHz over 512 */
#define HUM_HZ       200.0f  /* the sphere's lowest harmonic */
#define REFERENCE    0.2f    /* m: where the hum's first harmonic is at full level */
#define RANGE_DB     40.0f   /* from full level to silence */
#define AIR_DB       6.0f    /* per metre and for all of the 8 kHz: what air takes */
#define NOTCH_DB     15.0f   /* depth of the notch that the outer ear cuts */
#define NOTCH_HZ     600.0f  /* its width */
#define NOTCH_LOW_HZ 4000.0f /* where it is for a source at the ear's height */
#define NOTCH_RISE   2500.0f /* how far it climbs up to a source overhead */
#define FEEL         0.05    /* m: the gap at which a taxel reads nothing any more */

static const float microphone[2][3] = {{0.1f, 0.35f, 0.5f}, {0.1f, -0.35f, 0.5f}};

/* Level of the hum in a bin at the reference distance, dB: lines 15 Hz wide at the harmonics, falling
 * 3 dB per octave, over a hiss 12 dB below them. */
static float hum_db(float hz)
{
    float from_line = hz / HUM_HZ - rintf(hz / HUM_HZ);
    float line = from_line * HUM_HZ / 15.0f;
    float amplitude = 0.75f * expf(-line * line) + 0.25f;
    return 20.0f * log10f(amplitude) - 3.0f * log2f(1.0f + hz / HUM_HZ);
}

static void listen(const float ear[3], const float target[3], float bins[BINS])
{
    float d[3] = {target[0] - ear[0], target[1] - ear[1], target[2] - ear[2]};
    float distance = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    float near = fmaxf(distance, 0.05f); /* the sphere's own size: no source is a point */
    float loss = 20.0f * log10f(near / REFERENCE);
    float notch = NOTCH_LOW_HZ + NOTCH_RISE * (d[2] / near);

    for (int i = 0; i < BINS; i++) {
        float hz = ((float)i + 0.5f) * BIN_HZ;
        float off = (hz - notch) / NOTCH_HZ;
        float db = hum_db(hz) - loss - AIR_DB * near * (hz / 8000.0f) - NOTCH_DB * expf(-off * off);
        bins[i] = fminf(fmaxf(1.0f + db / RANGE_DB, 0.0f), 1.0f);
    }
}

void hl_sense_audio(const float target[3], float audio[HL_REACH_AUDIO])
{
    listen(microphone[0], target, audio);
    listen(microphone[1], target, audio + BINS);
}

/* Reading of a taxel by its gap to a surface, m: 1 in contact, smoothly to nothing at FEEL. */
static double by_gap(double gap)
{
    double part = fmin(fmax(1 - gap / FEEL, 0), 1);
    return part * part;
}

/* A taxel at `point` with outward normal n: how near a sphere is on its side. The sphere is soft: pressed
 * into it by the arm's own thickness, a taxel is in contact whichever way it faces. */
static double feel_sphere(const double point[3], const double n[3], const float center[3])
{
    double d[3], length = 0, facing = 0;
    for (int i = 0; i < 3; i++) {
        d[i] = center[i] - point[i];
        length += d[i] * d[i];
        facing += d[i] * n[i];
    }
    length = sqrt(length);
    double gap = length - HL_SPHERE_RADIUS;
    double turned = 0.5 + 0.5 * (length > 1e-9 ? facing / length : 1);
    double pressed = fmin(fmax(-gap / HL_ARM_RADIUS, 0), 1);
    return (turned + (1 - turned) * pressed) * by_gap(gap);
}

void hl_sense_tactile(const hl_arm_pose *pose, const float target[3], float tactile[HL_REACH_TACTILE])
{
    for (int ring = 0; ring < RINGS; ring++) {
        double along = (ring + 1) * (double)HL_ARM_JOINTS / RINGS; /* in links; the last is the tip */
        int link = (int)fmin(along, HL_ARM_JOINTS - 1);
        double part = along - link;
        for (int side = 0; side < 4; side++) { /* left, up, right, down of the link */
            double n[3], point[3], sign = side < 2 ? 1 : -1;
            for (int i = 0; i < 3; i++) {
                n[i] = sign * pose->rotation[link][i][1 + side % 2];
                point[i] = pose->point[link][i] + part * (pose->point[link + 1][i] - pose->point[link][i]) +
                           HL_ARM_RADIUS * n[i];
            }
            double sphere = feel_sphere(point, n, target);
            double floor_near = (0.5 - 0.5 * n[2]) * by_gap(point[2]);
            tactile[4 * ring + side] = (float)(1 - (1 - sphere) * (1 - floor_near));
        }
    }
}

void hl_sense_proprioceptive(const hl_arm_pose *pose, const float angle[HL_ARM_JOINTS],
                             const float velocity[HL_ARM_JOINTS], double max_speed,
                             float proprioceptive[HL_REACH_PROPRIOCEPTIVE])
{
    float *out = proprioceptive;
    memset(out, 0, HL_REACH_PROPRIOCEPTIVE * sizeof *out);
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        out[2 * j] = sinf(angle[j]);
        out[2 * j + 1] = cosf(angle[j]);
        out[2 * HL_ARM_JOINTS + j] = velocity[j] / (float)max_speed;
    }
    for (int i = 0; i < 3; i++)
        out[3 * HL_ARM_JOINTS + i] = (float)pose->point[HL_ARM_JOINTS][i];
}
