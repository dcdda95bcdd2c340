/* The demonstrator of the reach world: damped-least-squares inverse kinematics (Wampler 1986;
 * Nakamura & Hanafusa 1986) with a pull toward the rest posture in the null space (Liegeois 1977).
 *
 * The action is a smooth, single-valued function of joint angles and target: nothing depends on
 * how the arm came to be where it is, so it can be learnt by imitation. */
#ifndef HL_DATA_REACH_EXPERT_H
#define HL_DATA_REACH_EXPERT_H

#include "data/reach_arm.h"

/* Joint angles [19] radians, target [3] metres -> joint velocities [19] as fractions of max_speed
 * (rad/s), each in [-1, 1]; where one would exceed it, all shrink alike, which keeps the direction. */
void hl_expert_action(const float angle[HL_ARM_JOINTS], const float target[3], double max_speed,
                      float action[HL_ARM_JOINTS]);

#endif
