#include "data/reach.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "data/reach_arm.h"
#include "data/reach_expert.h"
#include "data/reach_render.h"
#include "data/reach_senses.h"

static_assert((int)HL_REACH_ACTION == (int)HL_ARM_JOINTS, "an action moves every joint");

/* Random streams of an episode. */
enum { STREAM_START = 0x52430001, STREAM_TARGET };

#define START_SPREAD 0.25 /* rad: joints start within this of the rest posture */
#define START_APART  0.25 /* m: the target is at least this far from the fingertip */
#define TARGET_NEAR  0.45 /* m from the shoulder */
#define TARGET_FAR   0.85
#define TARGET_SIDE  0.9  /* rad to either side of straight ahead */
#define TARGET_BELOW 0.25 /* rad below the shoulder's height */
#define TARGET_ABOVE 0.7

struct hl_reach {
    hl_reach_state state;
    hl_arm_pose pose; /* of state.angle */
    int step;
    bool reached;
    int64_t image; /* 0: no camera */
    hl_camera *camera;
};

hl_reach *hl_reach_new(int64_t image, hl_error *err)
{
    hl_reach *world = hl_alloc(1, sizeof *world);
    if (!world) {
        hl_fail(err, HL_ERR_MEMORY, "reach: no memory for a world");
        return NULL;
    }
    world->image = image;
    if (image != 0 && !(world->camera = hl_camera_new(image, err))) {
        hl_free(world);
        return NULL;
    }
    hl_reach_reset(world, 0, 0);
    return world;
}

void hl_reach_free(hl_reach *world)
{
    if (!world)
        return;
    hl_camera_free(world->camera);
    hl_free(world);
}

double hl_reach_distance(const hl_reach *world)
{
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double d = world->state.target[i] - world->pose.point[HL_ARM_JOINTS][i];
        sum += d * d;
    }
    return sqrt(sum);
}

static void look_whether_reached(hl_reach *world)
{
    if (world->step <= HL_REACH_STEPS && hl_reach_distance(world) <= HL_REACH_TOLERANCE)
        world->reached = true;
}

void hl_reach_set(hl_reach *world, const hl_reach_state *state)
{
    world->state = *state;
    world->step = 0;
    world->reached = false;
    hl_arm_forward(world->state.angle, &world->pose);
    look_whether_reached(world);
}

hl_reach_state hl_reach_get(const hl_reach *world)
{
    return world->state;
}

static double between(uint32_t word, double low, double high)
{
    return low + (high - low) * hl_uniform_float(word);
}

/* The `attempt`-th candidate: uniform in a sector of a thick shell about the shoulder. */
static void draw_target(uint64_t seed, uint64_t episode, uint32_t attempt, float target[3])
{
    hl_philox u = hl_philox_block(seed, attempt, STREAM_TARGET, episode);
    double far3 = pow(TARGET_FAR, 3), near3 = pow(TARGET_NEAR, 3);
    double radius = cbrt(between(u.v[0], near3, far3));
    double side = between(u.v[1], -TARGET_SIDE, TARGET_SIDE);
    double rise = between(u.v[2], sin(-TARGET_BELOW), sin(TARGET_ABOVE)); /* sine: uniform by area */
    double level = sqrt(1 - rise * rise);
    target[0] = (float)(radius * level * cos(side));
    target[1] = (float)(radius * level * sin(side));
    target[2] = (float)(radius * rise + HL_ARM_HEIGHT);
}

void hl_reach_reset(hl_reach *world, uint64_t seed, uint64_t episode)
{
    hl_reach_state state = {0};
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        hl_philox u = hl_philox_block(seed, (uint32_t)j, STREAM_START, episode);
        double angle = hl_arm_rest[j] + between(u.v[0], -START_SPREAD, START_SPREAD);
        state.angle[j] = (float)fmin(fmax(angle, -HL_ARM_LIMIT), HL_ARM_LIMIT);
    }
    for (uint32_t attempt = 0; attempt < 1000; attempt++) {
        draw_target(seed, episode, attempt, state.target);
        hl_reach_set(world, &state);
        if (hl_reach_distance(world) >= START_APART)
            return;
    }
    HL_ASSERT(!"a target away from the fingertip is found within a few attempts");
}

void hl_reach_observe(hl_reach *world, float *const sense[HL_SENSES])
{
    const hl_reach_state *s = &world->state;
    if (sense[HL_VISUAL] || sense[HL_DEPTH]) {
        HL_ASSERT(world->camera);
        hl_camera_draw(world->camera, &world->pose, s->target, sense[HL_VISUAL], sense[HL_DEPTH]);
    }
    if (sense[HL_AUDIO])
        hl_sense_audio(s->target, sense[HL_AUDIO]);
    if (sense[HL_TACTILE])
        hl_sense_tactile(&world->pose, s->target, sense[HL_TACTILE]);
    if (sense[HL_PROPRIOCEPTIVE])
        hl_sense_proprioceptive(&world->pose, s->angle, s->velocity, HL_REACH_SPEED,
                                sense[HL_PROPRIOCEPTIVE]);
}

/* Moves by a part of what is asked; false, and the pose to be made again, if that meets the floor. */
static bool try_move(hl_reach *world, const float from[HL_ARM_JOINTS], const float action[HL_ARM_JOINTS],
                     double part)
{
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        double speed = HL_REACH_SPEED * fmin(fmax(action[j], -1), 1);
        double angle = from[j] + part * HL_REACH_PERIOD * speed;
        world->state.angle[j] = (float)fmin(fmax(angle, -HL_ARM_LIMIT), HL_ARM_LIMIT);
    }
    hl_arm_forward(world->state.angle, &world->pose);
    return part <= 0 || hl_arm_is_clear(&world->pose);
}

hl_status hl_reach_act(hl_reach *world, const float action[HL_REACH_ACTION], hl_error *err)
{
    float from[HL_ARM_JOINTS];

    for (int j = 0; j < HL_ARM_JOINTS; j++)
        if (!isfinite(action[j]))
            return hl_fail(err, HL_ERR_NUMERIC,
                           "reach: action[%d] is %g: a policy must give finite velocities", j,
                           (double)action[j]);
    memcpy(from, world->state.angle, sizeof from);
    for (double part = 1; !try_move(world, from, action, part); part = part > 0.1 ? part / 2 : 0)
        ;
    for (int j = 0; j < HL_ARM_JOINTS; j++)
        world->state.velocity[j] = (float)((world->state.angle[j] - from[j]) / HL_REACH_PERIOD);
    world->step++;
    look_whether_reached(world);
    return HL_OK;
}

void hl_reach_expert(const hl_reach *world, float action[HL_REACH_ACTION])
{
    hl_expert_action(world->state.angle, world->state.target, HL_REACH_SPEED, action);
}

int hl_reach_step(const hl_reach *world)
{
    return world->step;
}

bool hl_reach_success(const hl_reach *world)
{
    return world->reached;
}
