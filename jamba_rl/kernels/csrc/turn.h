/* The angle by which a step turns a pair of states, and the turn of one pair; see kernels/turn.py. */

#ifndef JAMBA_TURN_H
#define JAMBA_TURN_H

#include <math.h>
#include <stdint.h>

#define PI 3.14159265358979323846
#define CALM 0.5f /* as in kernels/turn.py */

/* theta / pi, of what angle_proj gives */
static inline float share_of(float projected) { return tanhf(CALM * projected); }

static inline void turn_pair(float *first, float *second, float cosine, float sine) {
    float u = *first, v = *second;
    *first = u * cosine - v * sine, *second = u * sine + v * cosine;
}

#endif
