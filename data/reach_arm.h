/* The arm of the reach world: 19 revolute joints in series, like a trunk on a pedestal.
 *
 * World frame: x forward, y left, z up, metres; the floor is z = 0.  Every link points along its own
 * x; even joints turn about the link's z (sideways), odd ones about its -y (positive is up). */
#ifndef HL_DATA_REACH_ARM_H
#define HL_DATA_REACH_ARM_H

#include <stdbool.h>

enum { HL_ARM_JOINTS = 19 };

#define HL_ARM_LINK   0.06  /* length of a link, metres: 1.14 in all */
#define HL_ARM_RADIUS 0.025 /* thickness of a link, metres */
#define HL_ARM_HEIGHT 0.40  /* of the first joint over the floor */
#define HL_ARM_LIMIT  1.2   /* every joint stays within +-limit, radians */

/* Where the arm is: point[j] is joint j, point[19] the fingertip; rotation[j] is the frame of the
 * link that follows joint j, columns x y z; axis[j] the direction joint j turns about. */
typedef struct hl_arm_pose {
    double point[HL_ARM_JOINTS + 1][3];
    double rotation[HL_ARM_JOINTS][3][3];
    double axis[HL_ARM_JOINTS][3];
} hl_arm_pose;

/* The posture the arm rests in, radians: raised and curled, the fingertip ahead. */
extern const double hl_arm_rest[HL_ARM_JOINTS];

/* Forward kinematics: joint angles, radians -> pose. */
void hl_arm_forward(const float angle[HL_ARM_JOINTS], hl_arm_pose *pose);

/* d fingertip / d angle, m/rad. */
void hl_arm_jacobian(const hl_arm_pose *pose, double jacobian[3][HL_ARM_JOINTS]);

/* No link is in the floor. */
bool hl_arm_is_clear(const hl_arm_pose *pose);

#endif
