#include "data/reach_arm.h"

#include <math.h>
#include <string.h>

const double hl_arm_rest[HL_ARM_JOINTS] = {
    0.0, 0.7, 0.0, 0.5, 0.0, 0.3, 0.0, -0.4, 0.0, -0.5, 0.0, -0.5, 0.0, -0.4, 0.0, -0.3, 0.0, -0.2, 0.0,
};

/* Turns a frame by `angle` about one of its own axes: columns u and v span the plane of rotation. */
static void turn(double r[3][3], int u, int v, double angle)
{
    double c = cos(angle), s = sin(angle);
    for (int i = 0; i < 3; i++) {
        double a = r[i][u], b = r[i][v];
        r[i][u] = c * a + s * b;
        r[i][v] = c * b - s * a;
    }
}

void hl_arm_forward(const float angle[HL_ARM_JOINTS], hl_arm_pose *pose)
{
    double r[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    double p[3] = {0, 0, HL_ARM_HEIGHT};

    memcpy(pose->point[0], p, sizeof p);
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        bool sideways = j % 2 == 0;
        for (int i = 0; i < 3; i++)
            pose->axis[j][i] = sideways ? r[i][2] : -r[i][1];
        turn(r, 0, sideways ? 1 : 2, angle[j]);
        for (int i = 0; i < 3; i++)
            p[i] += HL_ARM_LINK * r[i][0];
        memcpy(pose->point[j + 1], p, sizeof p);
        memcpy(pose->rotation[j], r, sizeof r);
    }
}

void hl_arm_jacobian(const hl_arm_pose *pose, double jacobian[3][HL_ARM_JOINTS])
{
    const double *tip = pose->point[HL_ARM_JOINTS];
    for (int j = 0; j < HL_ARM_JOINTS; j++) {
        const double *w = pose->axis[j], *p = pose->point[j];
        double d[3] = {tip[0] - p[0], tip[1] - p[1], tip[2] - p[2]};
        jacobian[0][j] = w[1] * d[2] - w[2] * d[1];
        jacobian[1][j] = w[2] * d[0] - w[0] * d[2];
        jacobian[2][j] = w[0] * d[1] - w[1] * d[0];
    }
}

bool hl_arm_is_clear(const hl_arm_pose *pose)
{
    for (int j = 1; j <= HL_ARM_JOINTS; j++)
        if (pose->point[j][2] < HL_ARM_RADIUS)
            return false;
    return true;
}
