/* What the reach world lets a robot hear, touch and feel of itself. */
#ifndef HL_DATA_REACH_SENSES_H
#define HL_DATA_REACH_SENSES_H

#include "data/reach_arm.h"

enum { HL_REACH_AUDIO = 1024, HL_REACH_TACTILE = 128, HL_REACH_PROPRIOCEPTIVE = 64 };

#define HL_SPHERE_RADIUS 0.05 /* metres: the fingertip within it is success */

/* Two microphones of 512 bins up to 8 kHz each, left first; every bin is a level from 0 (40 dB below
 * the reference) to 1.  The sphere hums: harmonics over a hiss.  Loudness falls as 1/distance and air
 * takes more of the high bins, so a microphone hears how far the sphere is and the two hear on which
 * side; a notch that climbs with elevation, as that of the outer ear does (Hebrank & Wright 1974),
 * tells how high. */
void hl_sense_audio(const float target[3], float audio[HL_REACH_AUDIO]);

/* 128 taxels in 32 rings of 4 along the arm, each from 0 to 1: what faces the sphere or the floor
 * reads (1 - gap / 5 cm)^2, less the more it is turned away; deep in the soft sphere it reads 1. So
 * touch helps at the end of a reach and says nothing at its beginning. */
void hl_sense_tactile(const hl_arm_pose *pose, const float target[3], float tactile[HL_REACH_TACTILE]);

/* sin and cos of the 19 angles in turn (38), velocities as fractions of max_speed (19), fingertip in
 * metres (3), zeros (4). */
void hl_sense_proprioceptive(const hl_arm_pose *pose, const float angle[HL_ARM_JOINTS],
                             const float velocity[HL_ARM_JOINTS], double max_speed,
                             float proprioceptive[HL_REACH_PROPRIOCEPTIVE]);

#endif
