#include "data/reach_expert.h"

#include <math.h>

#define TIP_SPEED 0.5  /* m/s, far from the target */
#define TIP_BRAKE 0.15 /* m: nearer than about this, speed falls with distance */
#define DAMPING   0.1  /* m: bounds joint speed where the arm is stretched out */
#define POSTURE   0.5  /* 1/s: pull toward the rest posture */

/* Solves the symmetric positive definite a x = b by Cholesky's decomposition. */
static void solve3(double a[3][3], const double b[3], double x[3])
{
    double l[3][3] = {{0}}, y[3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
        }
    for (int i = 0; i < 3; i++) {
        y[i] = b[i];
        for (int k = 0; k < i; k++)
            y[i] -= l[i][k] * y[k];
        y[i] /= l[i][i];
    }
    for (int i = 2; i >= 0; i--) {
        x[i] = y[i];
        for (int k = i + 1; k < 3; k++)
            x[i] -= l[k][i] * x[k];
        x[i] /= l[i][i];
    }
}

/* Velocity the fingertip should have, m/s: straight at the target, slowing smoothly. */
static void tip_velocity(const hl_arm_pose *pose, const float target[3], double velocity[3])
{
    double d[3], length = 0;
    for (int i = 0; i < 3; i++) {
        d[i] = target[i] - pose->point[HL_ARM_JOINTS][i];
        length += d[i] * d[i];
    }
    length = sqrt(length);
    double gain = length > 1e-9 ? TIP_SPEED * tanh(length / TIP_BRAKE) / length : 0;
    for (int i = 0; i < 3; i++)
        velocity[i] = gain * d[i];
}

void hl_expert_action(const float angle[HL_ARM_JOINTS], const float target[3], double max_speed,
                      float action[HL_ARM_JOINTS])
{
    hl_arm_pose pose;
    double jacobian[3][HL_ARM_JOINTS], posture[HL_ARM_JOINTS], speed[HL_ARM_JOINTS];
    double want[3], a[3][3], x[3], largest = 1;

    hl_arm_forward(angle, &pose);
    hl_arm_jacobian(&pose, jacobian);
    tip_velocity(&pose, target, want);
    for (int j = 0; j < HL_ARM_JOINTS; j++)
        posture[j] = POSTURE * (hl_arm_rest[j] - angle[j]);

    /* speed = posture + J^T (J J^T + damping^2)^-1 (want - J posture): what the posture would do to
     * the fingertip is taken back, so only its null-space part remains. */
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            a[i][k] = i == k ? DAMPING * DAMPING : 0;
            for (int j = 0; j < HL_ARM_JOINTS; j++)
                a[i][k] += jacobian[i][j] * jacobian[k][j];
        }
        for (int j = 0; j < HL_ARM_JOINTS; j++)
            want[i] -= jacobian[i][j] * posture[j];
    }
    solve3(a, want, x);
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        speed[j] = posture[j];
        for (int i = 0; i < 3; i++)
            speed[j] += jacobian[i][j] * x[i];
        speed[j] /= max_speed;
        largest = fmax(largest, fabs(speed[j]));
    }
    for (int j = 0; j < HL_ARM_JOINTS; j++)
        action[j] = (float)(speed[j] / largest);
}
