#include "data/reach_render.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/reach_senses.h"

#define FOCAL 2.5f /* distance of the image plane whose half width is 1: 44 degrees across */

typedef struct vec3 {
    float x, y, z;
} vec3;

/* One plane per value: distance along the ray, red, green, blue, each [side*side]. */
typedef struct frame {
    float *distance, *color[3];
} frame;

struct hl_camera {
    int64_t image;           /* height and width of what is drawn */
    int64_t rays;            /* per pixel and direction */
    int64_t side;            /* image * rays */
    vec3 right, down, ahead; /* of the camera, in the world */
    float *direction[3];     /* unit rays [side*side] each */
    frame bare, now;         /* the floor alone, and the frame being drawn */
    float *block;            /* holds all of the above planes */
};

/* A cylinder with round ends from a to b; a sphere where they are one. */
typedef struct capsule {
    vec3 a, b;
    float radius;
    float color[3];
} capsule;

/* Pixels [x0,x1) x [y0,y1) of the frame. */
typedef struct box {
    int64_t x0, x1, y0, y1;
} box;

static const vec3 eye = {1.55f, -1.0f, 1.25f}, aim = {0.5f, -0.07f, 0.5f};
static const float sky[3] = {0.75f, 0.85f, 0.95f};

static vec3 sub(vec3 a, vec3 b)
{
    return (vec3){a.x - b.x, a.y - b.y, a.z - b.z};
}

static float dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static vec3 along(vec3 origin, vec3 direction, float t)
{
    return (vec3){origin.x + t * direction.x, origin.y + t * direction.y, origin.z + t * direction.z};
}

static vec3 cross(vec3 a, vec3 b)
{
    return (vec3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

static vec3 unit(vec3 a)
{
    float n = 1.0f / sqrtf(dot(a, a));
    return (vec3){a.x * n, a.y * n, a.z * n};
}

static vec3 ray(const hl_camera *c, int64_t i)
{
    return (vec3){c->direction[0][i], c->direction[1][i], c->direction[2][i]};
}

static void set_pixel(frame *f, int64_t i, float distance, const float color[3], float light)
{
    f->distance[i] = distance;
    for (int k = 0; k < 3; k++)
        f->color[k][i] = color[k] * light;
}

/* The ray of every pixel, and what it meets when nothing stands on the floor: tiles of 25 cm, sky. */
static void draw_bare(hl_camera *c)
{
    static const float tile[2][3] = {{0.45f, 0.50f, 0.45f}, {0.55f, 0.60f, 0.55f}};
    float half = (float)c->side / 2;

    for (int64_t y = 0; y < c->side; y++)
        for (int64_t x = 0; x < c->side; x++) {
            int64_t i = y * c->side + x;
            vec3 d = {c->ahead.x * FOCAL, c->ahead.y * FOCAL, c->ahead.z * FOCAL};
            d = along(d, c->right, ((float)x + 0.5f) / half - 1);
            d = unit(along(d, c->down, ((float)y + 0.5f) / half - 1));
            c->direction[0][i] = d.x;
            c->direction[1][i] = d.y;
            c->direction[2][i] = d.z;
            float t = d.z < 0 ? -eye.z / d.z : HL_CAMERA_RANGE;
            if (t < HL_CAMERA_RANGE) {
                vec3 p = along(eye, d, t);
                bool odd = fmodf(fabsf(floorf(p.x * 4) + floorf(p.y * 4)), 2) > 0.5f;
                set_pixel(&c->bare, i, t, tile[odd], 1);
            } else {
                set_pixel(&c->bare, i, HL_CAMERA_RANGE, sky, 1);
            }
        }
}

hl_camera *hl_camera_new(int64_t image, hl_error *err)
{
    enum { PLANES = 11 }; /* three of rays, four of each frame */

    if (image < HL_CAMERA_MIN || image > HL_CAMERA_MAX) {
        hl_fail(err, HL_ERR_USAGE, "reach: an image is %d to %d pixels wide, not %lld", HL_CAMERA_MIN,
                HL_CAMERA_MAX, (long long)image);
        return NULL;
    }
    hl_camera *c = hl_alloc(1, sizeof *c);
    int64_t rays = image >= 64 ? 1 : (64 + image - 1) / image;
    int64_t side = image * rays;
    float *block = hl_alloc((size_t)(side * side), PLANES * sizeof(float));
    if (!c || !block) {
        hl_free(c);
        hl_free(block);
        hl_fail(err, HL_ERR_MEMORY, "reach: no memory for a camera of %lld pixels", (long long)image);
        return NULL;
    }
    c->image = image;
    c->rays = rays;
    c->side = side;
    c->block = block;
    float **plane[PLANES] = {&c->direction[0],  &c->direction[1],  &c->direction[2],  &c->bare.distance,
                             &c->bare.color[0], &c->bare.color[1], &c->bare.color[2], &c->now.distance,
                             &c->now.color[0],  &c->now.color[1],  &c->now.color[2]};
    for (int i = 0; i < PLANES; i++)
        *plane[i] = block + i * side * side;
    c->ahead = unit(sub(aim, eye));
    c->right = unit(cross(c->ahead, (vec3){0, 0, 1}));
    c->down = cross(c->ahead, c->right);
    draw_bare(c);
    return c;
}

void hl_camera_free(hl_camera *camera)
{
    if (!camera)
        return;
    hl_free(camera->block);
    hl_free(camera);
}

/* Smallest and largest of center / depth over a ball's bounding cube, center across the view. */
static void span(float center, float depth, float radius, float *low, float *high)
{
    float l = center - radius, h = center + radius;
    *low = fminf(*low, l / (l < 0 ? depth - radius : depth + radius));
    *high = fmaxf(*high, h / (h < 0 ? depth + radius : depth - radius));
}

/* The pixels a capsule may cover: those of its two end balls, and all between. */
static box bounds(const hl_camera *c, const capsule *k)
{
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    vec3 end[2] = {k->a, k->b};
    for (int e = 0; e < 2; e++) {
        vec3 p = sub(end[e], eye);
        float depth = dot(p, c->ahead);
        HL_ASSERT(depth > 2 * k->radius); /* the camera stands out of the arm's reach */
        span(dot(p, c->right), depth, k->radius, &low[0], &high[0]);
        span(dot(p, c->down), depth, k->radius, &low[1], &high[1]);
    }
    int64_t first[2], last[2];
    for (int i = 0; i < 2; i++) {
        float half = (float)c->side / 2, top = (float)c->side;
        first[i] = (int64_t)fminf(fmaxf(floorf((low[i] * FOCAL + 1) * half), 0), top);
        last[i] = (int64_t)fminf(fmaxf(ceilf((high[i] * FOCAL + 1) * half), 0), top);
    }
    return (box){first[0], last[0], first[1], last[1]};
}

/* Distance along a ray from the eye to a ball, or INFINITY. */
static float meet_ball(vec3 d, vec3 center, float radius)
{
    vec3 o = sub(eye, center);
    float b = dot(o, d), h = b * b - dot(o, o) + radius * radius;
    return h < 0 ? INFINITY : -b - sqrtf(h);
}

/* The same to a capsule: |o + t d - s u|^2 = r^2 with s the part along its axis u, where that lies
 * between the ends; else the ball at the nearer end. *s is that part, 0 to 1. */
static float meet_capsule(vec3 d, const capsule *k, float *s)
{
    vec3 u = sub(k->b, k->a), o = sub(eye, k->a);
    float uu = dot(u, u), ud = dot(u, d), uo = dot(u, o);
    *s = 0;
    if (uu <= 0)
        return meet_ball(d, k->a, k->radius);
    float a = uu - ud * ud;
    float b = uu * dot(o, d) - uo * ud;
    float h = b * b - a * (uu * (dot(o, o) - k->radius * k->radius) - uo * uo);
    if (h < 0)
        return INFINITY;
    float t = (-b - sqrtf(h)) / a;
    *s = (uo + t * ud) / uu;
    if (*s > 0 && *s < 1)
        return t;
    *s = *s <= 0 ? 0.0f : 1.0f; /* also where a is 0: looking along the axis */
    return meet_ball(d, *s > 0 ? k->b : k->a, k->radius);
}

/* Light from above on the side that faces up, and a little from the eye, so that shape shows. */
static void draw_capsule(hl_camera *c, const capsule *k)
{
    box at = bounds(c, k);
    for (int64_t y = at.y0; y < at.y1; y++)
        for (int64_t x = at.x0; x < at.x1; x++) {
            int64_t i = y * c->side + x;
            vec3 d = ray(c, i);
            float s, t = meet_capsule(d, k, &s);
            if (!(t < c->now.distance[i]))
                continue;
            vec3 n = sub(along(eye, d, t), along(k->a, sub(k->b, k->a), s));
            float up = n.z / k->radius, toward = -dot(n, d) / k->radius;
            set_pixel(&c->now, i, t, k->color, 0.55f + 0.2f * up + 0.25f * toward);
        }
}

/* Darkens the floor straight below a capsule: there the light is cut off. */
static void draw_shadow(hl_camera *c, const capsule *k)
{
    capsule flat = *k;
    flat.a.z = flat.b.z = 0;
    vec3 u = sub(flat.b, flat.a);
    float uu = dot(u, u);
    box at = bounds(c, &flat);
    for (int64_t y = at.y0; y < at.y1; y++)
        for (int64_t x = at.x0; x < at.x1; x++) {
            int64_t i = y * c->side + x;
            float t = c->bare.distance[i];
            if (!(t < HL_CAMERA_RANGE) || c->now.color[0][i] < c->bare.color[0][i])
                continue; /* sky, or dark already */
            vec3 from = sub(along(eye, ray(c, i), t), flat.a);
            float s = uu > 0 ? fminf(fmaxf(dot(from, u) / uu, 0), 1) : 0;
            vec3 off = along(from, u, -s);
            if (off.x * off.x + off.y * off.y > k->radius * k->radius)
                continue;
            for (int j = 0; j < 3; j++)
                c->now.color[j][i] *= 0.6f;
        }
}

/* Averages the rays of each pixel of one plane. */
static void resolve(const hl_camera *c, const float *plane, float scale, float *out)
{
    int64_t n = c->rays;
    float weight = scale / (float)(n * n);
    for (int64_t y = 0; y < c->image; y++)
        for (int64_t x = 0; x < c->image; x++) {
            float sum = 0;
            for (int64_t v = 0; v < n; v++)
                for (int64_t u = 0; u < n; u++)
                    sum += plane[(y * n + v) * c->side + x * n + u];
            out[y * c->image + x] = fminf(sum * weight, 1.0f);
        }
}

static vec3 at_point(const double p[3])
{
    return (vec3){(float)p[0], (float)p[1], (float)p[2]};
}

void hl_camera_draw(hl_camera *camera, const hl_arm_pose *pose, const float sphere[3], float *visual,
                    float *depth)
{
    capsule scene[HL_ARM_JOINTS + 2];
    int n = 0;
    int64_t pixels = camera->image * camera->image;

    vec3 center = {sphere[0], sphere[1], sphere[2]}, shoulder = at_point(pose->point[0]);
    scene[n++] = (capsule){center, center, (float)HL_SPHERE_RADIUS, {1.0f, 0.15f, 0.05f}};
    scene[n++] = (capsule){{0, 0, 0}, shoulder, 0.06f, {0.35f, 0.35f, 0.40f}}; /* the pedestal */
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        float tip = j == HL_ARM_JOINTS - 1 ? 1.0f : 0.0f, tint = j % 2 ? 0.15f : 0.0f;
        scene[n++] = (capsule){at_point(pose->point[j]),
                               at_point(pose->point[j + 1]),
                               (float)HL_ARM_RADIUS,
                               {0.30f - 0.2f * tip + tint, 0.40f + 0.4f * tip + tint, 0.85f - 0.7f * tip}};
    }
    size_t bytes = (size_t)(camera->side * camera->side) * sizeof(float);
    memcpy(camera->now.distance, camera->bare.distance, 4 * bytes); /* the planes of a frame adjoin */
    for (int i = 0; i < n; i++)
        draw_shadow(camera, &scene[i]);
    for (int i = 0; i < n; i++)
        draw_capsule(camera, &scene[i]);
    for (int k = 0; k < 3 && visual; k++)
        resolve(camera, camera->now.color[k], 1.0f, visual + k * pixels);
    if (depth)
        resolve(camera, camera->now.distance, 1.0f / HL_CAMERA_RANGE, depth);
}
