/* The camera of the reach world: casts rays at the arm (capsules), the sphere and the floor, in one
 * light from straight above.  It stands still, so rays and bare floor are computed once; a frame then
 * tests only the pixels that a primitive's bounds cover. */
#ifndef HL_DATA_REACH_RENDER_H
#define HL_DATA_REACH_RENDER_H

#include <stdint.h>

#include "data/reach_arm.h"
#include "hl.h"

enum { HL_CAMERA_MIN = 8, HL_CAMERA_MAX = 4096 }; /* height and width of an image */

#define HL_CAMERA_RANGE 4.0f /* metres: depth 1; what is farther reads 1 */

typedef struct hl_camera hl_camera;

/* image: height and width. Errors: HL_ERR_USAGE out of range, HL_ERR_MEMORY; then NULL. */
hl_camera *hl_camera_new(int64_t image, hl_error *err);
void hl_camera_free(hl_camera *camera); /* accepts NULL */

/* visual [3,H,W] RGB in 0..1, depth [1,H,W] distance along the ray / HL_CAMERA_RANGE; either may be
 * NULL.  Small images average several rays a pixel, so that a sphere smaller than a pixel is seen. */
void hl_camera_draw(hl_camera *camera, const hl_arm_pose *pose, const float sphere[3], float *visual,
                    float *depth);

#endif
